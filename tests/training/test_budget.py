"""A run stops at its budget, says so, and goes on with a larger one to the bytes of a run without any."""

import itertools

import pytest
import yaml

from rl_eval import config as configs
from rl_eval import job
from rl_eval import run as runs
from rl_eval.cost import Budget, Meter, Rate
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train
from tests.training.learn import ROOT

RATE = Rate(machine="m", price_per_hour=3600.0, currency="USD")  # 1 USD a second
TINY = ["env=cartpole", "agent=a2c", "~tuned", "total_steps=640", "agent.n_envs=4", "agent.n_steps=16",
        "validation.every=320", "validation.episodes=2", "judge=off"]  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    """Every look at the clock is half a second later."""
    ticks = itertools.count(0.0, 0.5)
    monkeypatch.setattr("rl_eval.cost._meter.time.perf_counter", lambda: next(ticks))


def learn(directory, budget, resume=False):
    config = configs.load(compose(ROOT / "conf", TINY))
    directory.mkdir(exist_ok=True)
    with runs.open_spent(directory) as spent:
        meter = Meter(RATE, None if budget is None else Budget.parse(budget), spent)
        tracker = open_tracker(config.tracker, run_dir=directory, config={})
        steps = []
        on_step = lambda env_steps, *_: steps.append(env_steps)  # noqa: E731
        return train(config, directory, tracker=tracker, on_step=on_step, meter=meter, resume=resume), steps


def policy(run):
    return (run.judged_snapshot() / "policy.safetensors").read_bytes()


def test_a_budget_stops_after_the_iteration_that_passes_it(tmp_path, clock):
    run, steps = learn(tmp_path / "short", "2 USD")
    assert run.info["status"] == "over_budget"
    assert run.info["reason"] == "its budget of 2 USD is spent"
    assert steps[-1] < 640
    cost = run.info["cost"]
    assert 2 <= cost["training"]["money"] <= 2 + 3 * 0.5  # an iteration, and what writes the record
    more, _ = learn(tmp_path / "short", "1000 USD", resume=True)
    whole, _ = learn(tmp_path / "whole", None)
    assert more.info["status"] == whole.info["status"] == "finished"
    assert policy(more) == policy(whole)
    assert more.info["cost"]["training"]["money"] > cost["training"]["money"]


def test_nothing_is_trained_once_it_is_spent(tmp_path, clock):
    learn(tmp_path / "run", "2 USD")
    run, steps = learn(tmp_path / "run", "2 USD", resume=True)
    assert (run.info["status"], steps) == ("over_budget", [])


def test_jobs_of_a_sweep_share_one(tmp_path, monkeypatch, capsys):
    """The first spends it, so the second is not started; the first goes on with a larger one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "_report", lambda _: None)
    sweep = tmp_path / "sweep"
    for name in ("0_seed=1", "1_seed=2"):
        (sweep / name).mkdir(parents=True)
    runs.write_json(sweep / "sweep.json", {"jobs": [{"directory": path.name} for path in sorted(sweep.iterdir())]})
    values = compose(ROOT / "conf", [*TINY, "hardware.budget=1e-3 s"])
    for path in sorted(path for path in sweep.iterdir() if path.is_dir()):
        job.run(values, path, sweep=sweep, suites=tmp_path)
    assert "resume=" in capsys.readouterr().err
    assert [path.name for path in sweep.iterdir() if path.is_dir()] == ["0_seed=1"]
    first = runs.read_run(sweep / "0_seed=1")
    assert first.info["status"] == "over_budget"
    values = {**compose(ROOT / "conf", []), "resume": str(first.path), "hardware": {"budget": "10 h"}}
    job.run(values, first.path, sweep=None, suites=tmp_path)
    assert runs.read_run(first.path).info["status"] == "finished"
    assert yaml.safe_load((first.path / "config.yaml").read_text())["hardware"]["budget"] == "10 h"
