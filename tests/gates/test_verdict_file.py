"""`verdict.json` of a run directory: what is no verdict of a suite is refused, and never read as PASS."""

import pytest

from rl_eval.errors import InputError
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.gates.verdict_file import read_suite_verdicts
from rl_eval.run import write_json

HELD_OUT = CriterionVerdict("s", "held_out", "held_out", "NOT_CHECKED", "no run", "evidence", "")


def criterion(decision="PASS", by="estimate", direction="at_least", estimate=480.0):
    return CriterionVerdict("s", "c", "mean_return", decision, "why", by, direction, 475.0, estimate)


def suite(*criteria):
    return SuiteVerdict("s", "s.yaml", "cartpole", "greedy", 7, ("r",), criteria)


def read(folder, suite, without=()):
    values = {name: value for name, value in suite.to_json().items() if name not in without}
    write_json(folder / "verdict.json", {"suites": [values]})
    return read_suite_verdicts(folder)


@pytest.mark.parametrize(
    "judged",
    [
        criterion(),
        criterion(estimate=475.0),
        criterion("FAIL", estimate=3.0),
        criterion(direction="at_most", estimate=3.0),
        criterion(by="evidence", estimate=474.0),  # what was played after the decision may lie on the other side
        criterion("ERROR", direction="", estimate=None),
    ],
)
def test_a_verdict_comes_back_as_it_was(tmp_path, judged):
    assert read(tmp_path, suite(judged, HELD_OUT)) == (suite(judged, HELD_OUT),)


@pytest.mark.parametrize(
    "judged",
    [
        suite(),
        suite(HELD_OUT),
        suite(criterion(estimate=474.0)),
        suite(criterion(direction="at_most")),
        suite(criterion(direction="less_than")),
        suite(criterion(direction="up")),
    ],
)
def test_a_verdict_on_nothing_or_against_its_own_numbers_is_refused(tmp_path, judged):
    with pytest.raises(InputError, match=r"damaged at suites\.0 "):
        read(tmp_path, judged)


def test_a_verdict_says_which_part_was_played(tmp_path):
    """A verdict on validation without its mark would be one on the test set."""
    with pytest.raises(InputError, match=r"damaged at suites\.0\.part"):
        read(tmp_path, suite(criterion()), without=["part"])


def test_what_judged_nothing_does_not_pass():
    assert not suite().passed
    assert not suite(HELD_OUT).passed
    assert suite(criterion(), HELD_OUT).passed
