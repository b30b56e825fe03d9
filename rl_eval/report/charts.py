"""Charts as inline SVG: pure functions from numbers to markup in the colours of the page.

All text is escaped here, so a page can print the results as they are. For screen readers a chart is an image with one
sentence as its name. Lines of different series differ in dash as well as in colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from rl_eval.report import hover
from rl_eval.report.html_page import compact, number
from rl_eval.report.scales import Scale, scale, thinned, ticks

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 30
COLOURS = 8  # series-1 … series-8 of page.css
_LARGEST = 1e100  # above, differences overflow


@dataclass(frozen=True)
class Series:
    """A line over x, optionally with a band around it; NaN interrupts it.

    Attributes:
        x, y: `[n]`.
        low, high: `[n]` the ends of the band.
        colour: from 1 to `COLOURS`; also sets the dash.
        faint: drawn thin and not in the legend, such as one run of several.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    colour: int = 1
    faint: bool = False


def curves(
    series: Sequence[Series],
    description: str,
    *,
    x_label: str = "",
    rule: tuple[float, str] | None = None,
    y_range: tuple[float, float] | None = None,
    y_names: Sequence[tuple[float, str]] | None = None,
) -> Markup:
    """Lines over a common x.

    Args:
        description: what the chart shows, for people who cannot see it.
        rule: a value of y with its label, drawn as a horizontal line.
        y_range: values that the y axis must include.
        y_names: ticks of y with their labels, instead of round numbers.
    """
    finite_series = [_finite(line) for line in series]
    xs = _joined(line.x for line in finite_series)
    ys = _joined(values for line in finite_series for values in (line.y, line.low, line.high) if values is not None)
    if not len(xs) or not len(ys):
        return Markup('<p class="muted small">No numbers.</p>')
    if rule is not None and not abs(rule[0]) < _LARGEST:
        rule = None
    include = [*(y_range or ()), *([rule[0]] if rule else [])]
    x_ticks, y_ticks = ticks(xs.min(), xs.max(), 4), ticks(min([ys.min(), *include]), max([ys.max(), *include]), 4)
    x0, x1 = float(xs.min()), float(xs.max())
    y0, y1 = min(y_ticks[0], ys.min(), *include), max(y_ticks[-1], ys.max(), *include)
    if y_names is not None:
        y0, y1 = min([ys.min(), *include]), max([ys.max(), *include])
    across, up = scale(x0, x1, LEFT, WIDTH - RIGHT), scale(y0, y1, HEIGHT - BOTTOM, TOP)
    names = y_names if y_names is not None else [(tick, compact(tick)) for tick in y_ticks]
    parts = [_grid_y(float(up(tick)), name) for tick, name in names if y0 <= tick <= y1]
    parts += [_tick_x(float(across(tick)), compact(tick)) for tick in x_ticks if x0 <= tick <= x1]
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 3, x_label, "end"))
    parts += [_band(line, across, up) for line in finite_series if line.low is not None and not line.faint]
    parts += [_line(line, across, up) for line in sorted(finite_series, key=lambda line: not line.faint)]
    if rule is not None:
        parts.append(_rule(float(up(rule[0])), rule[1], [(across(line.x), up(line.y)) for line in finite_series]))
    labels = [(line.label, line.x, line.y) for line in finite_series if not line.faint]
    labels = [(label if len(labels) > 1 else "", x, y) for label, x, y in labels]
    parts.append(hover.columns(labels, across, x_label, TOP, HEIGHT - BOTTOM))
    return _svg(WIDTH, HEIGHT, description, parts)


def interval(
    estimate: float | None,
    low: float | None,
    high: float | None,
    threshold: float,
    above: bool,
    description: str,
    bounds: tuple[float, float] | None = None,
    *,
    small: bool = False,
) -> Markup:
    """An estimate with its interval and a threshold; the passing side is tinted.

    Args:
        low, high: None for an unknown end, which is drawn open.
        above: whether values above the threshold pass.
        bounds: the range to show; None: that of the numbers.
        small: without the number of the threshold, for rows that share it.
    """
    width, height, middle = (150, 24, 12) if small else (260, 40, 14)
    estimate, low, high = (None if v is None or not abs(v) < _LARGEST else v for v in (estimate, low, high))
    values = [value for value in (estimate, low, high, threshold) if value is not None]
    first, last = bounds or (min(values), max(values))
    margin = (last - first or abs(threshold) or 1.0) * 0.12
    first, last = first - margin, last + margin
    across = scale(first, last, 6, width - 6)
    bar = float(across(threshold))
    include = (bar, width - 6 - bar) if above else (6.0, bar - 6)
    tint = Markup('<rect class="wanted" x="{:.1f}" y="2" width="{:.1f}" height="{}"/>')
    parts = [tint.format(*include, 2 * middle - 4)]
    parts.append(Markup('<line class="axis" x1="6" x2="{}" y1="{}" y2="{}"/>').format(width - 6, middle, middle))
    if low is not None or high is not None:
        ends = (6.0 if low is None else float(across(low))), (width - 6.0 if high is None else float(across(high)))
        parts.append(_segment("span", ends[0], middle, ends[1], middle))
        parts += [
            _segment("end", x, middle - 5, x, middle + 5)
            for x, end in zip(ends, (low, high), strict=True)
            if end is not None
        ]
    parts.append(_segment("rule", bar, 0, bar, 2 * middle))
    if estimate is not None:
        parts.append(Markup('<circle class="at" cx="{:.1f}" cy="{}" r="4.5"/>').format(float(across(estimate)), middle))
    anchor = "middle" if 40 < bar < width - 40 else "start" if bar <= 40 else "end"
    if not small:
        name = number(threshold, 4, estimate)
        parts.append(_text(max(6.0, min(bar, width - 6.0)), height - 2, name, anchor, "strong"))
    title = Markup("<title>{}</title>").format(description)
    return _svg(width, height, description, [title, *parts])


def strip(
    values: np.ndarray,
    description: str,
    *,
    rule: tuple[float, str] | None = None,
    x_label: str = "",
    x_range: tuple[float, float] | None = None,
) -> Markup:
    """One dot for each value on a common axis, at most 1,000; its value appears on hover.

    Args:
        x_range: values that the axis must include, so that several strips share a scale.
    """
    values = np.asarray(values, np.float64)
    values = values[np.abs(values) < _LARGEST][:1000]
    if not len(values):
        return Markup('<p class="muted small">No numbers.</p>')
    height, base = 92, 58
    rule = rule if rule and abs(rule[0]) < _LARGEST else None
    include = [rule[0]] if rule else []
    include += [end for end in x_range or () if abs(end) < _LARGEST]
    x_ticks = ticks(min([values.min(), *include]), max([values.max(), *include]), 5)
    first, last = min(x_ticks[0], values.min(), *include), max(x_ticks[-1], values.max(), *include)
    across = scale(first, last, 14, WIDTH - 14)
    parts = [_segment("axis", 14, base, WIDTH - 14, base)]
    parts += [_tick_x(float(across(tick)), compact(tick), base) for tick in x_ticks]
    right = rule is not None and float(across(rule[0])) >= WIDTH / 2  # the label of the rule goes to the other side
    parts.append(_text(14 if right else WIDTH - 14, height - 2, x_label, "start" if right else "end"))
    heights: dict[int, int] = {}
    for value in np.sort(values):
        column = round(float(across(value)) / 7)
        stacked = heights[column] = heights.get(column, -1) + 1
        parts.append(
            Markup('<circle class="f1" cx="{:.1f}" cy="{:.1f}" r="3" opacity=".75"><title>{}</title></circle>').format(
                float(across(value)), max(base - 5 - 6.5 * stacked, 4), number(float(value))
            )
        )
    if rule is not None:
        x = float(across(rule[0]))
        parts.append(_segment("rule", x, 2, x, base))
        parts.append(_text(x, height - 2, rule[1], "end" if right else "start", "strong"))
    return _svg(WIDTH, height, description, parts)


def legend(entries: Sequence[tuple[str, int]]) -> Markup:
    """A list of labels, each with a line in its colour."""
    line = '<line class="line s{}" x1="1" x2="27" y1="5" y2="5"/>'
    swatch = Markup(f'<svg viewBox="0 0 28 10" aria-hidden="true">{line}</svg>')
    items = [Markup("<li>{}{}</li>").format(swatch.format(colour), label) for label, colour in entries]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


# --- parts -----------------------------------------------------------------------------------------


def _finite(series: Series) -> Series:
    """The series in float64, without points whose x is not finite, and thinned."""
    usable = np.abs(np.asarray(series.x, np.float64)) < _LARGEST

    def column(values: np.ndarray | None) -> np.ndarray | None:
        if values is None:
            return None
        finite = np.asarray(values, np.float64)[usable]
        return np.where(np.abs(finite) < _LARGEST, finite, np.nan)

    x, y, low, high = column(series.x), column(series.y), column(series.low), column(series.high)
    assert x is not None
    assert y is not None
    xs, ys = thinned(x, y)
    low, high = (None if end is None else thinned(x, end)[1] for end in (low, high))
    return Series(series.label, xs, ys, low, high, (series.colour - 1) % COLOURS + 1, series.faint)


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    finite = [part[np.isfinite(part)] for part in parts]
    return np.concatenate(finite) if finite else np.empty(0)


def _svg(width: float, height: float, description: str, parts: Sequence[Markup]) -> Markup:
    opened = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, description)
    return opened + Markup("").join(parts) + Markup("</svg>")


def _segment(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> Markup:
    template = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return template.format(x, y, anchor, kind, escape(text)) if text else Markup("")


def _grid_y(y: float, name: str) -> Markup:
    return _segment("grid-line", LEFT, y, WIDTH - RIGHT, y) + _text(LEFT - 6, y + 4, name, "end")


def _tick_x(x: float, name: str, base: float = HEIGHT - BOTTOM) -> Markup:
    anchor = "end" if x > WIDTH - 24 else "middle"
    return _segment("axis", x, base, x, base + 4) + _text(x, base + 16, name, anchor)


def _rule(y: float, name: str, polylines: Sequence[tuple[np.ndarray, np.ndarray]]) -> Markup:
    """A dashed horizontal line, with its label where the fewest points of the lines are near."""
    width = 6.5 * len(name) + 8
    places = [
        (_crowd(polylines, left, left + width, base - 12, base + 3), base, anchor, x)
        for left, x, anchor in ((WIDTH - RIGHT - width, WIDTH - RIGHT, "end"), (LEFT, LEFT + 4, "start"))
        for base in (y - 5, y + 13)
        if TOP < base < HEIGHT - BOTTOM
    ]
    drawn = _segment("rule", LEFT, y, WIDTH - RIGHT, y)
    if not places:
        return drawn
    _, base, anchor, x = min(places, key=lambda place: place[0])
    return drawn + _text(x, base, name, anchor, "strong")


def _crowd(
    polylines: Sequence[tuple[np.ndarray, np.ndarray]], left: float, right: float, top: float, bottom: float
) -> int:
    """How many pixels of the lines are in a box."""
    inside = 0
    for xs, ys in polylines:
        finite = np.isfinite(ys)
        if finite.any():
            between = np.interp(np.arange(left, right), xs[finite], ys[finite], left=np.nan, right=np.nan)
            inside += int(((between > top) & (between < bottom)).sum())
    return inside


def _line(series: Series, across: Scale, up: Scale) -> Markup:
    finite = np.isfinite(series.y)
    if finite.sum() == 1:
        place = float(across(series.x[finite])[0]), float(up(series.y[finite])[0])
        return Markup('<circle class="f{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(series.colour, *place)
    path = "".join(_run(across(series.x), up(series.y)))
    kind = f"line s{series.colour}{' faint' if series.faint else ''}"
    return Markup('<path class="{}" d="{}"/>').format(kind, path) if path else Markup("")


def _run(xs: np.ndarray, ys: np.ndarray) -> Iterator[str]:
    """The commands of a path that NaN interrupts; a single point is a dot."""
    drawing = False
    for x, y in zip(xs, ys, strict=True):
        if not np.isfinite(y):
            drawing = False
            continue
        yield f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}" + ("" if drawing else "h0")
        drawing = True


def _band(series: Series, across: Scale, up: Scale) -> Markup:
    assert series.low is not None
    assert series.high is not None
    finite = np.isfinite(series.low) & np.isfinite(series.high)
    xs, low, high = across(series.x[finite]), up(series.low[finite]), up(series.high[finite])
    if not len(xs):
        return Markup("")
    points = [f"{x:.1f},{y:.1f}" for x, y in zip(xs, high, strict=True)]
    points += [f"{x:.1f},{y:.1f}" for x, y in zip(xs[::-1], low[::-1], strict=True)]
    return Markup('<polygon class="band f{}" points="{}"/>').format(series.colour, " ".join(points))
