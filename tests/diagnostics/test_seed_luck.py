"""Whether results depend on the seed, from several runs."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f_oneway

from rl_eval.diagnostics import DiagnosedRun, seed_luck
from rl_eval.diagnostics._seed_luck import same_but_seed, spread
from rl_eval.run import write_json


def summary(returns):
    return float(np.mean(returns)), float(np.std(returns)), len(returns)


def run(seed, mean, std=10.0, episodes=50, status="finished", **config):
    info = {"status": status, "results": {"mean": mean, "std": std, "episodes": episodes}}
    return DiagnosedRun(Path(f"run_{seed}"), info, {"seed": seed, "env": {"name": "gym"}, **config})


@given(seed=st.integers(0, 2**16), runs=st.integers(2, 6), between=st.floats(0, 5))
def test_the_test_is_scipys_from_the_summaries_alone(seed, runs, between):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(rng.normal(0, between), 1, rng.integers(5, 30)) for _ in range(runs)]
    result = spread([summary(group) for group in groups])
    np.testing.assert_allclose(result.p_value, f_oneway(*groups).pvalue, rtol=1e-6, atol=1e-12)


def test_the_variances_are_those_that_were_put_in():
    """Averaged over many groups: 3 between seeds, 2 within."""
    rng = np.random.default_rng(0)
    spreads = [spread([summary(rng.normal(rng.normal(0, 3), 2, 20)) for _ in range(10)]) for _ in range(300)]
    assert np.mean([result.between**2 for result in spreads]) == pytest.approx(9, rel=0.1)
    assert np.mean([result.within**2 for result in spreads]) == pytest.approx(4, rel=0.05)


def test_seeds_alike_are_no_finding_and_seeds_apart_are():
    alike = [run(seed, 100 + seed % 2) for seed in range(5)]
    apart = [run(seed, 100 * seed) for seed in range(5)]
    assert seed_luck(alike) == []
    assert [finding.severity for finding in seed_luck(apart)] == ["note"]
    assert seed_luck(apart)[0].data["share"] > 0.9


def test_a_criterion_that_passes_with_some_seeds_alone_is_a_warning(tmp_path):
    runs = []
    for seed, decision in enumerate(["PASS", "FAIL"]):
        path = tmp_path / str(seed)
        path.mkdir()
        criterion = {"criterion": "reward", "decision": decision}
        write_json(path / "verdict.json", {"suites": [{"criteria": [criterion]}]})
        runs.append(DiagnosedRun(path, run(seed, 100 * seed).info, {"seed": seed}))
    findings = seed_luck(runs)
    assert [finding.severity for finding in findings] == ["warning"]
    assert "reward passes with some seeds and not with others" in findings[0].evidence


def test_only_finished_runs_of_one_config_are_compared():
    runs = [run(1, 0), run(2, 99, agent={"lr": 1}), run(3, 99, status="failed"), run(1, 99), run(4, 50)]
    assert [[member.seed for member in group] for group in same_but_seed(runs)] == [[1, 4]]


@pytest.mark.parametrize("results", [None, 3, {}, {"mean": "x", "std": 1, "episodes": 5}, {"mean": 1, "std": -1}])
def test_results_that_are_none_are_left_out(results):
    odd = DiagnosedRun(Path("odd"), {"status": "finished", "results": results}, {"seed": 1})
    assert seed_luck([odd, odd, run(2, 1)]) == []
