"""Values on hover: transparent columns over a chart of lines, each with a title that a browser shows as a tooltip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from rl_eval.formatting import brief
from rl_eval.report.html_page import number
from rl_eval.report.scales import Scale

COLUMNS = 32  # at most, of one chart
MAX_LINES = 8  # that a tooltip names
_COLUMN = Markup('<rect class="hover" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>')


def columns(
    lines: Sequence[tuple[str, np.ndarray, np.ndarray]], across: Scale, x_label: str, top: float, bottom: float
) -> Markup:
    """A column around each of some values of x, with the values of the lines there.

    Args:
        lines: label, x and y `[n]` of each line; a line without a point at an x is interpolated.
        across: from x to pixels.
        x_label: of the axis, such as `env steps`.
        top, bottom: in pixels.
    """
    drawn = [(label, x[np.isfinite(y)], y[np.isfinite(y)]) for label, x, y in lines if np.isfinite(y).any()]
    if not drawn:
        return Markup("")
    every = np.unique(np.concatenate([x for _, x, _ in drawn]))
    xs = every[np.unique(np.linspace(0, len(every) - 1, min(len(every), COLUMNS)).round().astype(int))]
    places = np.asarray(across(xs), np.float64)
    middles = (places[1:] + places[:-1]) / 2
    edges = np.concatenate([[places[0] - 3], middles, [places[-1] + 3]])
    parts = [
        _COLUMN.format(left, top, right - left, bottom - top, _title(float(x), drawn, x_label))
        for x, left, right in zip(xs, edges, edges[1:], strict=False)
    ]
    return Markup("").join(parts)


def _title(x: float, lines: Sequence[tuple[str, np.ndarray, np.ndarray]], x_label: str) -> str:
    texts = [f"{number(x)} {x_label}".strip()]
    for label, xs, ys in lines[:MAX_LINES]:
        if xs[0] <= x <= xs[-1]:
            value = number(float(np.interp(x, xs, ys)))
            texts.append(f"{brief(label, 60)}: {value}" if label else value)
    if len(lines) > MAX_LINES:
        texts.append(f"and {len(lines) - MAX_LINES} more lines")
    return "\n".join(texts)
