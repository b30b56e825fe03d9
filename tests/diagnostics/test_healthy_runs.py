"""Runs without a fault: doctor reports nothing above a note."""

import pytest

from tests.diagnostics.faulty import findings_in, learn

SEEDS = {"cartpole": (1, 2, 3), "lunarlander": (1, 2, 3), "threat": (1, 2, 3, 4)}
HEALTHY = [(env, seed) for env, seeds in SEEDS.items() for seed in seeds]


def above_note(directory):
    findings = findings_in(directory)
    print("".join(f"\n{f.severity} {f.name}: {f.evidence}" for f in findings))
    return [f"{f.name}: {f.evidence}" for f in findings if f.severity != "note"]


@pytest.mark.verify
@pytest.mark.parametrize(("env", "seed"), HEALTHY)
def test_healthy_runs_raise_nothing(env, seed, tmp_path):
    assert above_note(learn(tmp_path / "run", [f"env={env}", f"seed={seed}"])) == []


@pytest.mark.verify
@pytest.mark.parametrize("env", ["cartpole", "threat"])
def test_healthy_runs_of_q_learning_raise_nothing(env, tmp_path):
    assert above_note(learn(tmp_path / "run", [f"env={env}", "agent=dqn"])) == []


def test_a_short_healthy_run_raises_nothing(tmp_path):
    short = ["env=threat", "seed=3", "total_steps=200000", "validation.every=100000"]
    assert above_note(learn(tmp_path / "run", short)) == []
