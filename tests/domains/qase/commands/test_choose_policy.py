"""Which policy orders where none is named: the best on the validation cycles of the project."""

import shutil

import numpy as np
import pytest

from agents import AGENTS
from rl_eval import metrics, rollout
from rl_eval.domains.qase import DOMAIN
from rl_eval.domains.qase.commands import choose_policy
from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.policy import Spaces
from rl_eval.policy import load as load_policy
from tests.domains.qase.commands.next_cycles import BIG
from tests.gates import fake_agent
from tests.gates.fake_runs import write_run


@pytest.fixture
def two_runs(tmp_path, monkeypatch):
    """The older one runs cases first that failed in more than a third of their runs, the newer one last."""
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    rule = np.zeros(len(FEATURES))
    rule[FEATURES.index("failure_rate")] = 1.0
    for day, (name, sign) in enumerate({"old": 1.0, "new": -1.0}.items()):
        path = tmp_path / "outputs/day" / name
        write_run(path, "qase", rule=sign * rule, bias=(sign / 3, *[0.0] * 7), info={"started": f"2026-01-0{day + 1}"})
    write_run(tmp_path / "outputs/day/broken", "qase", status="failed", rule=rule, info={"started": "2026-02-01"})
    write_run(tmp_path / "outputs/day/other", "cartpole", info={"started": "2027-01-01"})


def validation_apfd(disk, spec):
    config = Config(data="qase", path=str(disk / "export.json"), results=str(disk / "before.jsonl"))
    cycles = DOMAIN.episodes(config, "validation")
    vector = DOMAIN.make(config, n_envs=cycles, part="validation", autoreset=False)
    policy = load_policy(spec, Spaces.of(config, vector), config)
    return metrics.compute("apfd", rollout.play(vector, policy, seeds=range(cycles), order=0), config)


@pytest.mark.parametrize("baselines", [choose_policy.BASELINES, ("baseline:random",)])
def test_the_best_on_validation_cycles_is_the_default(run_prioritise, two_runs, disk, monkeypatch, baselines):
    monkeypatch.setattr(choose_policy, "BASELINES", baselines)
    values = {spec: validation_apfd(disk, spec) for spec in (*baselines, "outputs/day/old", "outputs/day/new")}
    assert values["outputs/day/new"] < values["outputs/day/old"]
    status, out, _, rows = run_prioritise()
    best = max(values, key=values.__getitem__)
    assert (status, len(rows)) == (0, BIG)
    assert f"{best}, the best on " in out
    assert "2 finished runs" in out
    assert "baseline:failure_rate, named" in run_prioritise("--policy", "baseline:failure_rate")[1]


def test_without_validation_cycles_the_newest_finished_run_is_taken(run_prioritise, two_runs):
    status, out, _, _ = run_prioritise(results=None)
    assert status == 0
    assert "outputs/day/new, the newest finished run of env=qase below outputs/, since none can be compared" in out


def test_a_run_that_cannot_play_is_passed_over(run_prioritise, two_runs, tmp_path):
    shutil.rmtree(tmp_path / "outputs/day/old/snapshots")
    status, out, _, _ = run_prioritise()
    assert status == 0
    assert "1 passed over" in out
    assert "the best on" in out


@pytest.mark.parametrize("few", [2, 10_000])
def test_without_a_run_the_baselines_are_compared(run_prioritise, disk, monkeypatch, few):
    monkeypatch.setattr(choose_policy, "FEW_CYCLES", few)
    values = {spec: validation_apfd(disk, spec) for spec in choose_policy.BASELINES}
    best = max(values, key=values.__getitem__)
    status, out, _, rows = run_prioritise()
    assert (status, len(rows)) == (0, BIG)
    assert f"{best}, the best on " in out
    assert "of 0 finished runs of env=qase below outputs/ and 2 baselines; next is " in out
    assert ("with so few cycles the choice is a guess" in out) == (few > 100)


def test_without_a_run_and_results_it_is_the_failure_rate(run_prioritise):
    status, out, _, _ = run_prioritise(results=None)
    assert status == 0
    assert (
        "baseline:failure_rate, because there is no finished run of env=qase below outputs/, since none can be" in out
    )
