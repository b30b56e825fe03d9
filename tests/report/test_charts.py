"""Charts: well-formed markup inside their box, for any numbers."""

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rl_eval.report import charts, scales
from rl_eval.report.html_page import compact, number

ANY = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(-1e12, 1e12)


def coordinates(svg):
    """The coordinates in a chart."""
    tree = ElementTree.fromstring(svg)
    for node in tree.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height"):
            if name in node.attrib:
                yield float(node.attrib[name])
        for text in (node.attrib.get("d", ""), node.attrib.get("points", "")):
            yield from (float(part) for part in text.translate(str.maketrans("MLh,", "    ")).split())


@given(x=hnp.arrays(float, 30, elements=ANY), y=hnp.arrays(float, 30, elements=ANY), rule=ANY)
def test_a_chart_of_anything_is_well_formed_and_finite(x, y, rule):
    markup = charts.curves([charts.Series("a", x, y, y - 1, y + 1)], "description", rule=(rule, "bar"))
    if "<svg" in markup:
        numbers = list(coordinates(markup))
        assert all(math.isfinite(number) for number in numbers)
        assert all(-1 <= number <= charts.WIDTH + 1 for number in numbers)
    else:
        assert not ((np.abs(x) < 1e100) & (np.abs(y) < 1e100)).any()


@given(
    estimate=FINITE, ends=st.tuples(FINITE, FINITE), threshold=FINITE, above=st.booleans(), has_interval=st.booleans()
)
def test_an_interval_stays_in_its_box(estimate, ends, threshold, above, has_interval):
    low, high = sorted(ends) if has_interval else (None, None)
    markup = charts.interval(estimate, low, high, threshold, above, "description")
    assert all(-1 <= number <= 261 for number in coordinates(markup))


def test_the_tinted_side_is_the_one_that_passes():
    def tinted(above):
        tree = ElementTree.fromstring(charts.interval(0.5, 0.4, 0.6, 0.45, above, "description"))
        (box,) = (node for node in tree if node.attrib.get("class") == "wanted")
        (bar,) = (node for node in tree if node.attrib.get("class") == "rule")
        return float(box.attrib["x"]) >= float(bar.attrib["x1"]) - 0.1

    assert tinted(True)
    assert not tinted(False)


def test_text_and_names_are_escaped():
    bad = "<script>alert('x')</script>\"&"
    markup = charts.curves([charts.Series(bad, np.arange(3.0), np.arange(3.0))], bad, x_label=bad, rule=(1.0, bad))
    markup += charts.legend([(bad, 1)]) + charts.strip(np.arange(3.0), bad, rule=(1.0, bad), x_label=bad)
    assert "<script" not in markup
    assert "&lt;script&gt;" in markup
    assert ElementTree.fromstring(f"<x>{markup}</x>") is not None


@given(low=FINITE, high=FINITE, about=st.integers(2, 8))
def test_ticks_are_round_and_enclose_the_range(low, high, about):
    low, high = sorted((low, high))
    result = scales.ticks(low, high, about)
    slack = 1e-6 * max(abs(low), abs(high), 1e-9)
    assert result[0] <= low + slack
    assert result[-1] >= high - slack
    assert 2 <= len(result) <= 2 * about + 3
    step = result[1] - result[0]
    if step > 1e-9 * max(abs(low), abs(high)):  # else differences of such numbers say nothing of the step
        mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(mantissa - nice) for nice in (1, 2, 2.5, 5, 10)) < 1e-3


@given(values=hnp.arrays(float, st.integers(401, 3000), elements=st.floats(-10, 10)))
def test_thinning_keeps_the_mean_and_the_last_step(values):
    steps = np.arange(len(values), dtype=float)
    x, y = scales.thinned(steps, values, 400)
    assert len(x) == len(y) == 400
    assert x[-1] == steps[-1]
    assert values.min() - 1e-9 <= y.min() <= y.max() <= values.max() + 1e-9
    if len(values) % 400 == 0:
        np.testing.assert_allclose(y.mean(), values.mean(), atol=1e-9)


def test_thinning_leaves_out_what_is_not_a_number():
    values = np.arange(1000.0)
    values[::2] = np.nan
    _, means = scales.thinned(np.arange(1000.0), values, 10)
    np.testing.assert_allclose(means, [np.nanmean(values[i : i + 100]) for i in range(0, 1000, 100)])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"), (1234567, "1,234,567"), (-0.031214, "−0.03121"), (1.2e-7, "1.2e−7"), (0.94999, "0.95"),
        (float("nan"), "–"), (float("inf"), "–"), (None, "–"), (True, "–"), ("<b>", "–"), (10**400, "–"),
    ],
)  # fmt: skip
def test_numbers_on_pages(value, text):
    assert number(value) == text


def test_ticks_of_large_numbers_are_short():
    assert [compact(v) for v in (0, -200, 25_000, 250_000, 1.5e6, 2e9, 0.05)] == [
        "0", "−200", "25k", "250k", "1.5M", "2G", "0.05",
    ]  # fmt: skip
