"""Findings of doctor about Q-learning, on constructed curves and on runs trained with a fault."""

from pathlib import Path

import numpy as np
import pytest

from agents.replay import ReplayBuffer
from rl_eval.diagnostics import DiagnosedRun, findings_of
from tests.diagnostics.faulty import CARTPOLE, findings_in, learn

AGENT = {
    "name": "dqn", "double": False, "target": "hard", "target_every": 500, "tau": 0.01, "buffer_size": 1000,
    "learning_starts": 1000, "exploration_fraction": 0.2, "epsilon_start": 1.0, "epsilon_end": 0.05,
    "priority_alpha": 0.6,
}  # fmt: skip


def diagnosed_run(agent=None, steps=10_000, **curves):
    columns = {name: np.full(8, value, float) for name, value in curves.items()}
    config = {"total_steps": 10_000, "agent": {**AGENT, **(agent or {})}}
    return DiagnosedRun(Path("run"), {"env_steps": steps}, config, columns)


def finding_of(name, run):
    findings = findings_of(run, name)
    assert len(findings) <= 1
    return findings[0] if findings else None


@pytest.mark.parametrize(("q_mean", "q_max", "bound", "severity"), [
    (99, 104, 100, None), (106, 110, 100, "problem"), (90, 151, 100, "warning"),
    (-0.9, -0.7, -1, "problem"), (-30, -1.02, -1, None), (5, 8, np.nan, None),
])  # fmt: skip
def test_overestimation(q_mean, q_max, bound, severity):
    finding = finding_of("overestimation", diagnosed_run(q_mean=q_mean, q_max=q_max, q_bound=bound))
    assert (finding and finding.severity) == severity
    if finding:
        assert finding.change == "agent.double=true"


def test_overestimation_of_double_learning_slows_the_target_down():
    curves = {"q_mean": 200, "q_max": 300, "q_bound": 100}
    for agent, change in (
        ({"double": True}, "agent.target_every=2500"),
        ({"double": True, "target": "soft"}, "agent.tau=0.002"),
    ):
        assert finding_of("overestimation", diagnosed_run(agent, **curves)).change == change


@pytest.mark.parametrize(("age", "fill", "steps", "severity"), [
    (500, 0.99, 10_000, None), (5000, 0.99, 10_000, "problem"), (400, 0.8, 850, "note"), (300, 0.5, 10_000, "warning"),
])  # fmt: skip
def test_stale_replay(age, fill, steps, severity):
    finding = finding_of("stale_replay", diagnosed_run(replay_age=age, replay_fill=fill, steps=steps))
    assert (finding and finding.severity) == severity


@pytest.mark.parametrize(("distinct", "severity"), [(0.8, None), (0.25, "warning"), (0.05, "problem")])
def test_priorities_collapsed(distinct, severity):
    finding = finding_of("priorities_collapsed", diagnosed_run(replay_distinct=distinct))
    assert (finding and finding.severity) == severity
    if finding:
        assert finding.change == "agent.priority_alpha=0.4"


def test_exploration_ends_early():
    assert finding_of("exploration_ends_early", diagnosed_run()) is None
    finding = finding_of("exploration_ends_early", diagnosed_run({"exploration_fraction": 0.1}))
    assert (finding.severity, finding.change) == ("problem", "agent.exploration_fraction=0.5")
    assert (
        finding_of("exploration_ends_early", diagnosed_run({"exploration_fraction": 0.1, "epsilon_end": 1.0})) is None
    )


@pytest.mark.parametrize("name", ["overestimation", "stale_replay", "priorities_collapsed", "exploration_ends_early"])
def test_runs_without_the_columns_give_no_finding(name):
    assert finding_of(name, DiagnosedRun(Path("run"))) is None
    assert finding_of(name, DiagnosedRun(Path("run"), {}, {"agent": {"name": "ppo"}}, {"q_mean": np.zeros(0)})) is None


ON_CARTPOLE = [*CARTPOLE, "agent=dqn", "total_steps=8192", "agent.buffer_size=2000", "agent.exploration_fraction=0.4"]


def forgets_to_store(monkeypatch):
    """Nothing is written once there is a buffer full of random steps."""
    add = ReplayBuffer.add

    def once(self, *args):
        if self.env_steps < 1500:
            add(self, *args)
        else:
            self.env_steps += self.n_envs

    monkeypatch.setattr(ReplayBuffer, "add", once)


def never_copies_rewards_down(monkeypatch):
    """Terminations are bootstrapped from, with a discount of more than 1."""
    sample = ReplayBuffer.sample

    def wrong(self, *args, **keywords):
        batch = sample(self, *args, **keywords)
        return type(batch)(**{**vars(batch), "discounts": np.full_like(batch.discounts, 1.02)})

    monkeypatch.setattr(ReplayBuffer, "sample", wrong)


def has_rewards_that_are_noise(monkeypatch):
    """The errors of a few transitions are huge, whatever is learned of them."""
    update = ReplayBuffer.update_priorities
    monkeypatch.setattr(
        ReplayBuffer, "update_priorities", lambda self, i, td: update(self, i, np.where(i % 500 == 0, 1e9, td))
    )


@pytest.mark.parametrize(("fault", "extra", "name"), [
    pytest.param(forgets_to_store, ["agent.epsilon_end=1"], "stale_replay", marks=pytest.mark.verify),
    pytest.param(
        never_copies_rewards_down, ["agent.target_every=20"], "overestimation", marks=pytest.mark.verify
    ),
    (lambda _: None, ["agent.exploration_fraction=0.1"], "exploration_ends_early"),
    pytest.param(
        has_rewards_that_are_noise, ["agent.prioritized=true"], "priorities_collapsed", marks=pytest.mark.verify
    ),
])  # fmt: skip
def test_a_fault_is_named(fault, extra, name, tmp_path, monkeypatch):
    fault(monkeypatch)
    problems = [f.name for f in findings_in(learn(tmp_path / "run", [*ON_CARTPOLE, *extra])) if f.severity != "note"]
    assert name in problems[:2], problems


def test_a_short_healthy_run_of_q_learning_raises_nothing(tmp_path):
    run = learn(tmp_path / "run", ["env=threat", "agent=dqn", "total_steps=120000", "validation.every=100000"])
    assert [f"{f.name}: {f.evidence}" for f in findings_in(run) if f.severity != "note"] == []
