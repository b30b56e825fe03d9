"""Findings about the reward, on constructed curves and configs."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from rl_eval.diagnostics import DiagnosedRun
from rl_eval.diagnostics._reward_hacking import kendall_tau, opposed, paired_z, reward_hacking
from rl_eval.diagnostics._reward_range import reward_range
from rl_eval.diagnostics._reward_terms import drowned_reward, shares, unwired_reward
from rl_eval.errors import InputError
from rl_eval.rewards import Native, RewardFunction, as_range

NATIVE = "rl_eval.rewards.Native"
MATRIX = {
    "_target_": "rl_eval.domains.threat.rewards.Matrix",
    "values": [[0.0, -1.4, -0.8, -0.5], [-1.0, 1.0, 0.8, 0.5]],
}
# The composite of a published report, whose table promises 110: raw ranges, and weights meant for [0, 1].
COMPOSITE = {
    "effectiveness": (0.4, [0, 50]),
    "efficiency": (0.2, [0, 20]),
    "prevention": (0.3, [0, 30]),
    "satisfaction": (0.1, [0, 10]),
    "penalties": (1.0, [-50, 0]),
}


def diagnosed_run(curves=None, terms=None, **config):
    config = {"reward": {"terms": terms or {}, **config.pop("reward", {})}, **config}
    return DiagnosedRun(Path("nowhere"), {}, config, {name: np.asarray(v, float) for name, v in (curves or {}).items()})


def test_the_composite_of_the_report_allows_34_and_not_110():
    terms = {name: {"_target_": NATIVE, "weight": w, "range": r} for name, (w, r) in COMPOSITE.items()}
    findings = reward_range(diagnosed_run(terms=terms, reward={"range": [-50, 110]}))
    assert [finding.data["attainable"] for finding in findings] == [[-50.0, pytest.approx(34.0)]]
    assert findings[0].change == "reward.range=[-50,34]"
    assert reward_range(diagnosed_run(terms=terms, reward={"range": [-50, 34]})) == []


def test_normalised_terms_with_the_same_weights_reach_one():
    terms = {n: {"_target_": NATIVE, "weight": w, "range": [0, 1]} for n, (w, _) in COMPOSITE.items() if w < 1}
    assert RewardFunction.from_config(terms).attainable() == (0.0, pytest.approx(1.0))


def test_a_term_knows_its_own_range_better_than_its_declaration():
    findings = reward_range(diagnosed_run(terms={"matrix": {**MATRIX, "range": [-1, 1]}}))
    assert [finding.data["attainable"] for finding in findings] == [[pytest.approx(-1.4), 1.0]]


def test_a_term_that_leaves_its_declared_range_is_named():
    terms = {"own": {"_target_": NATIVE, "weight": 2.0, "range": [0, 1]}}
    findings = reward_range(diagnosed_run({"reward/own": [0.5, 2.5, 1.0]}, terms))
    assert [finding.data["attained"] for finding in findings] == [[0.5, 2.5]]
    assert reward_range(diagnosed_run({"reward/own": [0.5, 2.0, 0.0]}, terms)) == []


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-10, 10), st.floats(0, 10), st.floats(0, 1)), min_size=1, max_size=5)
)
def test_no_weighted_sum_leaves_the_attainable_range(terms):
    """Each term: a weight, a low end, a width, and where in it the value lies."""
    function = RewardFunction(
        {str(i): (w, Native()) for i, (w, *_) in enumerate(terms)},
        {str(i): (low, low + width) for i, (_, low, width, _) in enumerate(terms)},
    )
    low, high = function.attainable()
    total = sum(w * (a + width * at) for w, a, width, at in terms)
    assert low - 1e-9 <= total <= high + 1e-9


@pytest.mark.parametrize("value", [None, 3, [1], [2, 1], ["a", 1], [0, float("nan")], "<script>"])
def test_a_range_that_is_none_is_refused(value):
    with pytest.raises(InputError, match=r"^reward\.range=.* is not a range: give two "):
        as_range("reward.range", value)


def test_a_term_without_a_known_range_leaves_the_sum_unknown():
    assert RewardFunction.from_config({"own": {"_target_": NATIVE}}).attainable() is None


def test_a_term_that_is_always_zero_is_named():
    curves = {"reward/a": [0.0] * 9, "reward/b": [0.1] * 9}
    assert unwired_reward(diagnosed_run(curves)).data["terms"] == ["a"]
    assert unwired_reward(diagnosed_run(curves)).severity == "warning"
    assert unwired_reward(diagnosed_run({"reward/a": [0.0] * 9})).severity == "problem"
    curves["reward/a"][4] = 1e-9
    assert unwired_reward(diagnosed_run(curves)) is None


def test_a_term_with_weight_zero_is_meant_to_be_silent():
    terms = {"a": {"_target_": NATIVE, "weight": 0}, "b": {"_target_": NATIVE}}
    assert unwired_reward(diagnosed_run({"reward/a": [0.0] * 9, "reward/b": [0.1] * 9}, terms)) is None


def test_a_term_a_thousand_times_as_large_drowns_the_other():
    terms = {"a": {"_target_": NATIVE, "weight": 1000}, "b": {"_target_": NATIVE}}
    curves = {"reward/a": np.full(9, 1000.0), "reward/b": np.full(9, 1.0)}
    finding = drowned_reward(diagnosed_run(curves, terms))
    assert finding.change == "reward.terms.a.weight=1"
    assert drowned_reward(diagnosed_run({**curves, "reward/a": np.full(9, 20.0)}, terms)) is None


@pytest.mark.parametrize("name", ["a;touch hacked", "$(id)", "a`id`", "a\nb", "<script>", "a'b", "a|b", "a" * 400])
def test_nothing_that_a_shell_would_run_is_offered_for_pasting(name):
    terms = {name: {"_target_": NATIVE, "weight": 1000}, "b": {"_target_": NATIVE}}
    curves = {f"reward/{name}": np.full(9, 1000.0), "reward/b": np.full(9, 1.0)}
    finding = drowned_reward(diagnosed_run(curves, terms))
    assert finding is not None
    assert finding.change is None


@given(st.dictionaries(st.text(max_size=3), st.lists(st.floats(0.1, 10), min_size=3, max_size=3), min_size=1))
def test_shares_add_up_to_one(terms):
    assert sum(shares({name: np.array(v) for name, v in terms.items()}).values()) == pytest.approx(1.0)


def hacked(up, down):
    tries = np.repeat(down, 2)
    curves = {"reward/a": np.repeat(up, 2), "validation_score": tries}
    return diagnosed_run(curves, {"a": {**MATRIX}}, validation={"metric": "f1"})


def test_a_reward_that_rises_while_the_metric_falls_is_hacking():
    rng = np.random.default_rng(0)
    rising, falling = np.linspace(0, 1, 16), np.linspace(0.9, 0.2, 16)
    jitter = rng.normal(0, 0.03, (2, 16))
    assert reward_hacking(hacked(rising + jitter[0], falling + jitter[1])).severity == "problem"
    assert reward_hacking(hacked(rising + jitter[0], falling[::-1] + jitter[1])) is None
    assert reward_hacking(hacked(-rising + jitter[0], falling + jitter[1])) is None


def test_two_random_walks_are_rarely_taken_for_hacking():
    """Both trends at 5 % on series without one: together rarer still, though their neighbours resemble each other."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(60):
        a, b = np.zeros(40), np.zeros(40)
        for t in range(1, 40):
            a[t], b[t] = 0.6 * a[t - 1] + rng.normal(), 0.6 * b[t - 1] + rng.normal()
        false += bool(opposed(hacked(a, b), 1.0))
    assert false <= 3


@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
        min_size=3,
        max_size=20,
        unique_by=(lambda p: p[0], lambda p: p[1]),
    )
)
def test_tau_is_that_of_scipy(pairs):
    a, b = np.array(pairs).T
    np.testing.assert_allclose(kendall_tau(a, b), kendalltau(a, b).statistic, atol=1e-12)


def test_a_difference_without_spread_is_beyond_chance_or_nothing():
    assert paired_z(np.full(30, 2.0)) == np.inf
    assert paired_z(np.zeros(30)) == 0.0
    assert paired_z(np.full(5, 2.0)) == 0.0
