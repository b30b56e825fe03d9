"""A dot with its interval for each verdict, the oldest on the left; the values appear on hover."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from markupsafe import Markup

from rl_eval.formatting import decision_text
from rl_eval.report.html_page import compact, number
from rl_eval.report.scales import Scale, scale, ticks

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 180, 52, 12, 10, 26
_LARGEST = 1e100


@dataclass(frozen=True)
class Verdict:
    """What was decided on one run; `label` says on which and when."""

    estimate: float | None
    interval: tuple[float | None, float | None] | None
    decision: str
    label: str


def history(verdicts: Sequence[Verdict], threshold: float | None, description: str) -> Markup:
    """The chart.

    Args:
        verdicts: the oldest first.
        threshold: drawn as a line; None: none.
        description: what the values are, for people who cannot see it.
    """
    shown = [one for one in verdicts if _drawable(one.estimate)]
    if not shown:
        return Markup('<p class="muted small">No numbers.</p>')
    bar = threshold if _drawable(threshold) else None
    values = [value for one in shown for value in (one.estimate, *(one.interval or ()), bar) if _drawable(value)]
    y_ticks = ticks(min(values), max(values), 4)
    up = scale(min(y_ticks[0], *values), max(y_ticks[-1], *values), HEIGHT - BOTTOM, TOP)
    across = np.linspace(LEFT + 14, WIDTH - RIGHT - 14, len(shown)) if len(shown) > 1 else np.array([WIDTH / 2])
    label = Markup('<text x="{}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts = []
    for tick in y_ticks:
        y = float(up(tick))
        parts += [
            _line("grid-line", LEFT, y, WIDTH - RIGHT, y),
            label.format(LEFT - 6, y + 4, "end", compact(tick)),
        ]
    if bar is not None:
        parts.append(_line("rule", LEFT, float(up(bar)), WIDTH - RIGHT, float(up(bar))))
    parts += [_mark(float(x), one, up) for x, one in zip(across, shown, strict=True)]
    parts.append(label.format(LEFT, HEIGHT - 6, "start", "oldest"))
    parts.append(label.format(WIDTH - RIGHT, HEIGHT - 6, "end", "newest"))
    last = shown[-1]
    sentence = (
        f"{description}: {len(shown)} verdicts, the latest {number(last.estimate)}, {decision_text(last.decision)}"
    )
    opened = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, sentence)
    return opened + Markup("").join(parts) + Markup("</svg>")


def _mark(x: float, one: Verdict, up: Scale) -> Markup:
    text, line = f"{one.label}: {number(one.estimate)}", Markup("")
    low, high = one.interval or (None, None)
    if _drawable(low) and _drawable(high):
        text += f", interval from {number(low)} to {number(high)}"
        line = _line("span", x, float(up(low)), x, float(up(high)))
    assert one.estimate is not None
    dot = Markup('<circle class="at" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x, float(up(one.estimate)))
    title = Markup("<title>{}</title>").format(f"{text}, {decision_text(one.decision)}")
    return Markup('<g class="draw {}">{}{}{}</g>').format(one.decision, title, line, dot)


def _drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and abs(value) < _LARGEST


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)
