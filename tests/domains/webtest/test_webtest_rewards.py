"""Reward terms of testing: ranges for any outcome, shares that sum to 1, and the raw formula of a report."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.diagnostics import DiagnosedRun
from rl_eval.diagnostics._reward_range import reward_range
from rl_eval.domains.webtest.rewards import TERMS, Effectiveness, Efficiency, Penalty, Points, Prevention, Satisfaction
from rl_eval.errors import InputError
from rl_eval.rewards import RewardFunction

CONF = Path(__file__).resolve().parents[3] / "conf" / "reward"


def reward(name: str) -> dict:
    """The reward config of a name."""
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


FUNCTIONS = [RewardFunction.from_config(reward(name)["terms"]) for name in ("webtest", "webtest_report")]
number = st.floats(0.0, 1e6, width=32)
share = st.floats(0.0, 1.0, width=32)
outcomes = st.fixed_dictionaries(
    {
        "severity": number,
        "novelty": share,
        "prevented": st.floats(-1.0, 1e6, width=32),
        "seconds": number,
        "reproducible": st.floats(-1.0, 2.0, width=32),
        "path": st.integers(0, 10_000),
        "new_failures": st.integers(0, 50),
        "false_failures": st.integers(0, 50),
        "judgement": st.sampled_from([-1, 0, 1]),
        **dict.fromkeys(("duplicate", "dead_end", "timed_out", "refused", "new_state"), st.booleans()),
    }
).map(lambda facts: {name: np.array([value]) for name, value in facts.items()})


@given(outcomes)
def test_every_term_and_the_total_stay_in_their_declared_ranges(outcome):
    for function in FUNCTIONS:
        total, parts = function(outcome)
        for term, (low, high) in function.ranges().items():
            assert low - 1e-5 <= parts[term][0] <= high + 1e-5, term
        low, high = function.attainable()
        assert low - 1e-5 <= total[0] <= high + 1e-5


def test_the_composite_ranges_from_minus_one_to_one_and_the_report_to_34():
    assert RewardFunction.from_config(reward("webtest")["terms"]).attainable() == pytest.approx((-1.0, 1.0))
    report = reward("webtest_report")
    assert RewardFunction.from_config(report["terms"]).attainable() == pytest.approx((-50.0, 34.0))
    assert report["range"] == [-50, 110]


@pytest.mark.parametrize("name", ["webtest", "webtest_report"])
def test_doctor_corrects_the_range_of_the_report_alone(name):
    findings = reward_range(DiagnosedRun(Path("nowhere"), {}, {"reward": reward(name)}, {}))
    assert [finding.change for finding in findings] == ([] if name == "webtest" else ["reward.range=[-50,34]"])


@settings(max_examples=20)
@given(st.lists(st.floats(0.0, 2.0), min_size=4, max_size=4).filter(lambda weights: abs(sum(weights) - 1) > 1e-5))
def test_shares_that_do_not_sum_to_one_are_refused(weights):
    terms = reward("webtest")["terms"]
    for name, weight in zip(("effectiveness", "efficiency", "prevention", "satisfaction"), weights, strict=True):
        terms[name]["weight"] = weight
    with pytest.raises(InputError, match="make them sum to 1"):
        RewardFunction.from_config(terms)


def test_a_negative_share_is_refused():
    terms = reward("webtest")["terms"]
    terms["effectiveness"]["weight"], terms["efficiency"]["weight"] = 0.9, -0.3
    with pytest.raises(InputError, match=r"efficiency.weight=-0.3 is a share of the reward: give at least 0"):
        RewardFunction.from_config(terms)


def test_hand_worked_terms():
    outcome = {
        "severity": np.array([0.5, 0.0, 3.0]),
        "novelty": np.array([0.5, 1.0, 1.0], np.float32),
        "new_state": np.array([False, True, False]),
        "duplicate": np.array([False, False, True]),
        "seconds": np.array([2.0, 0.0, 0.0]),
        "prevented": np.array([0.25, 0.0, 2.0]),
        "path": np.array([11, 1, 1]),
        "new_failures": np.array([1, 0, 2]),
        "reproducible": np.ones(3),
        "judgement": np.array([0, 0, -1]),
        "dead_end": np.array([True, False, False]),
        "false_failures": np.array([0, 0, 3]),
        "timed_out": np.zeros(3, bool),
        "refused": np.zeros(3, bool),
    }
    np.testing.assert_allclose(Effectiveness(failures=0.8)(outcome), [0.8 * 0.5 + 0.2 * 0.5, 0.2, 0.8], rtol=1e-6)
    np.testing.assert_allclose(Efficiency(states=0.25, seconds=2.0)(outcome), [0.25, 0.25, 1.0], rtol=1e-6)
    np.testing.assert_allclose(Prevention()(outcome), [0.25, 0.0, 1.0])
    np.testing.assert_allclose(Satisfaction(actions=10.0)(outcome), [0.5, 0.0, 0.0])
    np.testing.assert_allclose(Penalty()(outcome), [0.1, 0.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(Points("prevention", 30)(outcome), [7.5, 0.0, 30.0])


def test_a_judgement_of_a_person_replaces_the_term():
    outcome = {name: np.ones(3) for name in ("path", "reproducible", "new_failures")}
    outcome["path"] = np.full(3, 50)
    outcome["judgement"] = np.array([1, -1, 0])
    values = Satisfaction(actions=10.0)(outcome)
    assert values[0] == 1.0
    assert values[1] == 0.0
    assert 0.0 < values[2] < 1.0


@pytest.mark.parametrize(
    ("term", "parameters", "sentence"),
    [
        ("effectiveness", {"failures": 1.5}, "failures=1.5 must be a number from 0 to 1"),
        ("efficiency", {"seconds": 0.0}, "seconds=0.0 must be a number above 0"),
        ("penalty", {"false_alarm": -1.0}, "false_alarm=-1.0 must be a number from 0 to 1"),
    ],
)
def test_parameters_out_of_range_are_refused(term, parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        TERMS[term](**parameters)
