"""Charts as inline SVG: pure functions from numbers to markup that follows the page's colours.

All text in them is escaped here, so a page may print what these functions return as it is. A chart is an image to a
screen reader, with one sentence as its name; lines of different series differ in dash as well as in colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from rl_eval.report.page import compact, number
from rl_eval.report.scales import Scale, scale, thinned, ticks

WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 8, 30
COLOURS = 8  # series-1 … series-8 of page.css
_LARGEST = 1e100  # beyond, differences of numbers overflow


@dataclass(frozen=True)
class Series:
    """A line over x, with a band around it where there is one; NaN breaks it.

    Attributes:
        x, y: `[n]`.
        low, high: `[n]` the ends of the band.
        colour: from 1 to `COLOURS`; it decides the dash as well.
        faint: drawn thin and without a place in the legend, such as one run among several.
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
    described: str,
    *,
    x_label: str = "",
    rule: tuple[float, str] | None = None,
    y_range: tuple[float, float] | None = None,
    y_names: Sequence[tuple[float, str]] | None = None,
) -> Markup:
    """Lines over a common x.

    Args:
        described: what the chart shows, for those who do not see it.
        rule: a value of y with its name, drawn across.
        y_range: what y must at least show.
        y_names: ticks of y with their names, in the place of round numbers.
    """
    shown = [_finite(each) for each in series]
    xs = _joined(each.x for each in shown)
    ys = _joined(part for each in shown for part in (each.y, each.low, each.high) if part is not None)
    if not len(xs) or not len(ys):
        return Markup('<p class="muted small">No numbers.</p>')
    if rule is not None and not abs(rule[0]) < _LARGEST:
        rule = None
    wanted = [*(y_range or ()), *([rule[0]] if rule else [])]
    x_ticks, y_ticks = ticks(xs.min(), xs.max(), 4), ticks(min([ys.min(), *wanted]), max([ys.max(), *wanted]), 4)
    x0, x1 = float(xs.min()), float(xs.max())
    y0, y1 = min(y_ticks[0], ys.min(), *wanted), max(y_ticks[-1], ys.max(), *wanted)
    if y_names is not None:
        y0, y1 = min([ys.min(), *wanted]), max([ys.max(), *wanted])
    across, up = scale(x0, x1, LEFT, WIDTH - RIGHT), scale(y0, y1, HEIGHT - BOTTOM, TOP)
    names = y_names if y_names is not None else [(tick, compact(tick)) for tick in y_ticks]
    parts = [_grid_y(float(up(tick)), name) for tick, name in names if y0 <= tick <= y1]
    parts += [_tick_x(float(across(tick)), compact(tick)) for tick in x_ticks if x0 <= tick <= x1]
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 3, x_label, "end"))
    parts += [_band(each, across, up) for each in shown if each.low is not None and not each.faint]
    parts += [_line(each, across, up) for each in sorted(shown, key=lambda each: not each.faint)]
    if rule is not None:
        parts.append(_rule(float(up(rule[0])), rule[1], [(across(each.x), up(each.y)) for each in shown]))
    return _svg(WIDTH, HEIGHT, described, parts)


def interval(
    estimate: float | None,
    low: float | None,
    high: float | None,
    threshold: float,
    above: bool,
    described: str,
    bounds: tuple[float, float] | None = None,
    *,
    small: bool = False,
) -> Markup:
    """An estimate with its interval against a threshold; the side that passes is tinted.

    Args:
        low, high: None where that end is not known, which is drawn as an open end.
        above: whether passing means being above the threshold.
        bounds: what to show, where the numbers themselves should not decide that.
        small: without the threshold's number, for rows that share it.
    """
    width, height, middle = (150, 24, 12) if small else (260, 40, 14)
    estimate, low, high = (None if v is None or not abs(v) < _LARGEST else v for v in (estimate, low, high))
    known = [v for v in (estimate, low, high, threshold) if v is not None]
    first, last = bounds or (min(known), max(known))
    room = (last - first or abs(threshold) or 1.0) * 0.12
    first, last = first - room, last + room
    across = scale(first, last, 6, width - 6)
    bar = float(across(threshold))
    wanted = (bar, width - 6 - bar) if above else (6.0, bar - 6)
    tint = Markup('<rect class="wanted" x="{:.1f}" y="2" width="{:.1f}" height="{}"/>')
    parts = [tint.format(*wanted, 2 * middle - 4)]
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
    return _svg(width, height, described, parts)


def strip(values: np.ndarray, described: str, *, rule: tuple[float, str] | None = None, x_label: str = "") -> Markup:
    """One dot a value on a common axis, so that the spread and the odd ones out are seen; at most 1,000."""
    values = np.asarray(values, np.float64)
    values = values[np.abs(values) < _LARGEST][:1000]
    if not len(values):
        return Markup('<p class="muted small">No numbers.</p>')
    height, base = 92, 58
    wanted = [rule[0]] if rule and abs(rule[0]) < _LARGEST else []
    at = ticks(min([values.min(), *wanted]), max([values.max(), *wanted]), 5)
    first, last = min(at[0], values.min(), *wanted), max(at[-1], values.max(), *wanted)
    across = scale(first, last, 14, WIDTH - 14)
    parts = [_segment("axis", 14, base, WIDTH - 14, base)]
    parts += [_tick_x(float(across(tick)), compact(tick), base) for tick in at]
    right = bool(wanted) and float(across(wanted[0])) >= WIDTH / 2  # where the rule has its name
    parts.append(_text(14 if right else WIDTH - 14, height - 2, x_label, "start" if right else "end"))
    heights: dict[int, int] = {}
    for value in np.sort(values):
        column = round(float(across(value)) / 7)
        stacked = heights[column] = heights.get(column, -1) + 1
        parts.append(
            Markup('<circle class="f1" cx="{:.1f}" cy="{:.1f}" r="3" opacity=".75"/>').format(
                float(across(value)), max(base - 5 - 6.5 * stacked, 4)
            )
        )
    if wanted and rule:
        x = float(across(rule[0]))
        parts.append(_segment("rule", x, 2, x, base))
        parts.append(_text(x, height - 2, rule[1], "end" if right else "start", "strong"))
    return _svg(WIDTH, height, described, parts)


def legend(entries: Sequence[tuple[str, int]]) -> Markup:
    """Labels with the line of their colour, as a list."""
    line = '<line class="line s{}" x1="1" x2="27" y1="5" y2="5"/>'
    swatch = Markup(f'<svg viewBox="0 0 28 10" aria-hidden="true">{line}</svg>')
    items = [Markup("<li>{}{}</li>").format(swatch.format(colour), label) for label, colour in entries]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


# --- parts -----------------------------------------------------------------------------------------


def _finite(series: Series) -> Series:
    """Without the points whose x is not a number; all in float64, thinned."""
    kept = np.abs(np.asarray(series.x, np.float64)) < _LARGEST

    def column(values: np.ndarray | None) -> np.ndarray | None:
        if values is None:
            return None
        found = np.asarray(values, np.float64)[kept]
        return np.where(np.abs(found) < _LARGEST, found, np.nan)

    x, y, low, high = column(series.x), column(series.y), column(series.low), column(series.high)
    assert x is not None
    assert y is not None
    xs, ys = thinned(x, y)
    low, high = (None if each is None else thinned(x, each)[1] for each in (low, high))
    return Series(series.label, xs, ys, low, high, (series.colour - 1) % COLOURS + 1, series.faint)


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    found = [part[np.isfinite(part)] for part in parts]
    return np.concatenate(found) if found else np.empty(0)


def _svg(width: float, height: float, described: str, parts: Sequence[Markup]) -> Markup:
    opened = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, described)
    return opened + Markup("").join(parts) + Markup("</svg>")


def _segment(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> Markup:
    made = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>')
    return made.format(x, y, anchor, kind, escape(text)) if text else Markup("")


def _grid_y(y: float, name: str) -> Markup:
    return _segment("grid-line", LEFT, y, WIDTH - RIGHT, y) + _text(LEFT - 6, y + 4, name, "end")


def _tick_x(x: float, name: str, base: float = HEIGHT - BOTTOM) -> Markup:
    anchor = "end" if x > WIDTH - 24 else "middle"
    return _segment("axis", x, base, x, base + 4) + _text(x, base + 16, name, anchor)


def _rule(y: float, name: str, lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> Markup:
    """A dashed line across, with its name at the end where the fewest points of the lines are near."""
    width = 6.5 * len(name) + 8
    places = [
        (_crowd(lines, left, left + width, base - 12, base + 3), base, anchor, x)
        for left, x, anchor in ((WIDTH - RIGHT - width, WIDTH - RIGHT, "end"), (LEFT, LEFT + 4, "start"))
        for base in (y - 5, y + 13)
        if TOP < base < HEIGHT - BOTTOM
    ]
    drawn = _segment("rule", LEFT, y, WIDTH - RIGHT, y)
    if not places:
        return drawn
    _, base, anchor, x = min(places, key=lambda place: place[0])
    return drawn + _text(x, base, name, anchor, "strong")


def _crowd(lines: Sequence[tuple[np.ndarray, np.ndarray]], left: float, right: float, top: float, bottom: float) -> int:
    """How many pixels of the lines lie in a box."""
    inside = 0
    for xs, ys in lines:
        known = np.isfinite(ys)
        if known.any():
            between = np.interp(np.arange(left, right), xs[known], ys[known], left=np.nan, right=np.nan)
            inside += int(((between > top) & (between < bottom)).sum())
    return inside


def _line(series: Series, across: Scale, up: Scale) -> Markup:
    known = np.isfinite(series.y)
    if known.sum() == 1:
        place = float(across(series.x[known])[0]), float(up(series.y[known])[0])
        return Markup('<circle class="f{}" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(series.colour, *place)
    path = "".join(_run(across(series.x), up(series.y)))
    kind = f"line s{series.colour}{' faint' if series.faint else ''}"
    return Markup('<path class="{}" d="{}"/>').format(kind, path) if path else Markup("")


def _run(xs: np.ndarray, ys: np.ndarray) -> Iterator[str]:
    """The commands of a path that is broken where y is NaN; a point on its own is a dot."""
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
    known = np.isfinite(series.low) & np.isfinite(series.high)
    xs, low, high = across(series.x[known]), up(series.low[known]), up(series.high[known])
    if not len(xs):
        return Markup("")
    points = [f"{x:.1f},{y:.1f}" for x, y in zip(xs, high, strict=True)]
    points += [f"{x:.1f},{y:.1f}" for x, y in zip(xs[::-1], low[::-1], strict=True)]
    return Markup('<polygon class="band f{}" points="{}"/>').format(series.colour, " ".join(points))
