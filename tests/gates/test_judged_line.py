from __future__ import annotations

import datetime

import pytest

from rl_eval.gates import judged_lines, load_suite
from rl_eval.gates.selection import BarePolicy, Selection
from tests.gates.fake_runs import write_run, write_suite

NOW = datetime.datetime(2026, 5, 2, 12, tzinfo=datetime.UTC)


def suite(tmp_path, train="{agent: ppo}"):
    criteria = "criteria: {c: {metric: mean_return, at_least: 1, by: estimate}}"
    return load_suite(write_suite(tmp_path / "s.yaml", f"rl_eval: 1\nenv: cartpole\ntrain: {train}\n{criteria}\n"))


def test_a_run_with_its_age_and_what_differs(tmp_path):
    started = "2026-05-02T11:56:40+00:00"
    run = write_run(tmp_path / "a", agent="a2c", seed=7, info={"started": started, "env_steps": 4096})
    (line,) = judged_lines(suite(tmp_path, "{agent: ppo, total_steps: 100}"), Selection((run,)), NOW)
    for fact in (str(run.path), "a2c", "seed 7", "4,096 steps", "3m 20s ago", "agent is 'a2c', not 'ppo'"):
        assert fact in line
    assert "total_steps is" not in line  # it is what the suite says


@pytest.mark.parametrize(
    ("started", "age"),
    [
        ("2026-05-01T11:00:00+00:00", "1 day ago"),
        ("2026-04-02T12:00:00+00:00", "30 days ago"),
        ("2026-05-02T12:00:01+00:00", None),  # a clock that is ahead
        ("2026-05-02T11:00:00", None),  # no time zone
        ("99999-01-01T00:00:00+00:00", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_ages(tmp_path, started, age):
    run = write_run(tmp_path / "a", info={"started": started})
    (line,) = judged_lines(suite(tmp_path), Selection((run,)), NOW)
    assert (age in line) if age else ("ago" not in line)


def test_of_many_the_newest_and_a_count(tmp_path):
    runs = [write_run(tmp_path / f"run{seed}", seed=seed) for seed in range(6)]
    lines = judged_lines(suite(tmp_path), Selection(tuple(runs)), NOW)
    assert [seed for seed in range(6) if any(f"seed {seed}," in line for line in lines)] == [3, 4, 5]
    assert lines[-1] == "and 3 more"


def test_what_was_typed_and_is_not_in_train(tmp_path):
    command = (
        "python train.py agent=ppo env=cartpole total_steps=4096 agent.gamma=0.9 seed=3 judge=off hydra.run.dir=x "
        "-m lr=3e-4,1e-3"
    )
    run = write_run(tmp_path / "a", config={"lr": 1e-3, "agent": {"name": "ppo", "gamma": 0.9}, "total_steps": 4096})
    typed = write_run(tmp_path / "b", config=run.config, info={"command": command})
    (line,) = judged_lines(suite(tmp_path), Selection((typed,)), NOW)
    assert "; with total_steps=4096, agent.gamma=0.9, lr=0.001, not set in train:)" in line
    (line,) = judged_lines(suite(tmp_path, "{agent: ppo, total_steps: 4096, lr: 0.001}"), Selection((typed,)), NOW)
    assert "; with agent.gamma=0.9, not set in train:)" in line
    for hostile in (None, 3, "a=" * 10_000, "lr=\x1b[31m", "agent.lr.x=1 config=2"):
        written = write_run(tmp_path / str(hash(hostile)), info={"command": hostile})
        (line,) = judged_lines(suite(tmp_path), Selection((written,)), NOW)
        assert len(line) < 600
        assert "\x1b" not in line


def test_the_reasons_come_last(tmp_path):
    run = write_run(tmp_path / "a")
    lines = judged_lines(suite(tmp_path), Selection((run,), reasons=("the only run that fits", "another")), NOW)
    assert lines[1:] == ["the only run that fits", "another"]


def test_policies_without_a_run_show_no_secret(tmp_path):
    (line,) = judged_lines(
        suite(tmp_path), Selection((BarePolicy("http://user:secret@127.0.0.1/act?token=secret"),)), NOW
    )
    assert "secret" not in line
    assert "without a run" in line
