"""What a job of train.py judges by, where it says so, and what that costs the test set."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from agents import AGENTS
from rl_eval import job
from rl_eval import run as runs
from rl_eval.hydra_compose import compose
from tests.gates import fake_agent
from tests.gates.fake_runs import FALL, write_run, write_suite

ROOT = Path(__file__).resolve().parents[1]
SUITE = """\
rl_eval: 1
env: cartpole
controls: []
episodes: {max: 6, min: 2, return_bounds: [0, 500]}
criteria:
  solved: {metric: mean_return, at_least: 400}
"""
TINY = [
    "env=cartpole", "total_steps=256", "agent.n_envs=4", "agent.n_steps=32", "agent.batch_size=64",
    "agent.n_epochs=1", "validation.every=256", "validation.episodes=2",
]  # fmt: skip


@pytest.fixture
def train(tmp_path, monkeypatch):
    """`train(name, *overrides)` runs a job whose training is replaced by a run that somebody wrote; returns its run."""
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path / "suites" / "pole.yaml", SUITE)
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    monkeypatch.setattr(job, "_report", lambda _: None)
    monkeypatch.setattr(job, "_doctor", lambda _: None)

    info = {}

    def learn(config, directory, **_):
        bias = (float(config.seed), 0.0)  # each seed is another policy
        changed = {"judge": config.judge, "seed": config.seed}
        written = write_run(tmp_path / "written", rule=FALL, bias=bias, seed=config.seed, config=changed, info=info)
        shutil.copytree(written.path, directory, dirs_exist_ok=True)
        shutil.rmtree(written.path)
        return runs.read_run(directory)

    monkeypatch.setattr(job, "train", learn)

    def run_job(name, *overrides, sweep=None):
        directory = Path(name) if sweep is None else Path(sweep) / name
        directory.mkdir(parents=True, exist_ok=True)
        values = compose(ROOT / "conf", ["env=cartpole", *overrides])
        job.run(values, directory, sweep=None if sweep is None else Path(sweep), suites=Path("suites"))
        return runs.read_run(directory)

    run_job.info = info
    return run_job


def test_what_trials_showed_is_printed_after_the_verdict(train, capsys):
    figures = {"trials": 5, "episodes": 12, "difference": 0.08, "p_value": 0.0063}
    train.info["trials"] = {**figures, "judged": "the trained policy"}
    train("first")
    out = capsys.readouterr().out
    assert "trials: better than the first policy on 12 episodes of earlier data, +0.080 MEAN_RETURN, p = 0.0063" in out
    assert out.index("pole:") < out.index("trials:") < out.index("run: first")


def parts(run):
    """The part that each suite of `verdict.json` was played on."""
    return [suite["part"] for suite in runs.read_verdicts(run.path)]


def looks():
    """How many verdicts the ledger has counted."""
    file = Path("outputs/ledger.jsonl")
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize(
    ("of_sweep", "of_tries", "count"),
    [(["judge=test"], ["judge=test"], 7), ([], [], 4), ([], ["judge=validation"], 1)],
)
def test_the_test_set_is_used_by_a_training_a_sweep_and_a_few_tries(train, of_sweep, of_tries, count):
    """Seven verdicts. Of these the ledger counts those on the test set: all, those of single runs, or the one kept."""
    train("train")
    for seed in (1, 2, 3):
        train(f"{seed}_seed={seed}", f"seed={seed}", *of_sweep, sweep="sweep")
    for seed in (4, 5, 6):
        train(f"try{seed}", f"seed={seed}", *of_tries)
    assert looks() == count


@pytest.mark.parametrize(
    ("overrides", "sweep", "part"),
    [
        ([], None, "test"),
        ([], "sweep", "validation"),
        (["judge=test"], "sweep", "test"),
        (["judge=validation"], None, "validation"),
    ],
)
def test_a_run_is_judged_on_the_test_set_and_a_job_of_a_sweep_on_validation(train, capsys, overrides, sweep, part):
    run = train("run", *overrides, sweep=sweep)
    assert parts(run) == [part]
    assert run.config["judge"] == part
    assert looks() == (part == "test")
    out = capsys.readouterr().out
    assert ("(validation)" in out) == ("on validation" in out) == (part == "validation")
    # the sweep's end has the command, which its jobs need not repeat
    assert ("--rl-run" in out) == (part == "validation" and sweep is None)


@pytest.mark.parametrize("text", ["judge=off", "judge=false"])  # which is what YAML 1.1 reads in `judge: off`
def test_off_judges_nothing_and_prints_the_command_that_would(train, capsys, text):
    run = train("a b", text)
    assert not (run.path / "verdict.json").exists()
    assert looks() == 0
    (command,) = [part for part in capsys.readouterr().out.split("`") if part.startswith("pytest")]
    assert shlex.split(command) == ["pytest", "suites/pole.yaml", "--rl-run", "a b"]


def test_a_run_on_ones_own_data_without_a_suite_is_judged_beside_baselines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    monkeypatch.setattr(job, "_report", lambda _: None)
    monkeypatch.setattr(job, "_doctor", lambda _: None)
    Path("suites").mkdir()
    write_suite(Path("suites/pole.yaml"), SUITE)
    rng = np.random.default_rng(0)
    label = rng.random(240) < 0.4
    size = rng.normal(size=240) + 4.0 * label
    Path("flows.csv").write_text("size,label\n" + "".join(f"{s},{int(y)}\n" for s, y in zip(size, label, strict=True)))
    env = {"name": "threat", "data": "csv", "path": "flows.csv", "label": "label"}

    def learn(config, directory, **_):
        written = write_run(tmp_path / "written", env, rule=np.array([1.0]), bias=(0.0, 0.0, -9.0, -9.0))
        shutil.copytree(written.path, directory, dirs_exist_ok=True)
        return runs.read_run(directory)

    monkeypatch.setattr(job, "train", learn)
    overrides = [f"env.{key}={value}" for key, value in env.items() if key != "name"]
    job.run(compose(ROOT / "conf", ["env=threat", *overrides]), Path("run"), sweep=None, suites=Path("suites"))
    (suite,) = json.loads(Path("run/verdict.json").read_text())["suites"]
    decisions = {criterion["criterion"]: criterion["decision"] for criterion in suite["criteria"]}
    assert decisions["beats_one_action"] == "PASS"
    assert {"beats_logistic", "near_supervised", "controls", "held_out"} < set(decisions)
    assert "ERROR" not in decisions.values()
    assert "compared with baselines" in capsys.readouterr().err


def test_a_resumed_run_keeps_what_its_config_says(train):
    job_of_sweep = train("job", sweep="sweep")
    runs.write_json(job_of_sweep.path / "run.json", {**job_of_sweep.info, "status": "interrupted"})
    config = compose(ROOT / "conf", ["env=cartpole", "judge=validation"])
    (job_of_sweep.path / "config.yaml").write_text(json.dumps(config))
    (job_of_sweep.path / "verdict.json").unlink()
    job.run({"resume": str(job_of_sweep.path)}, job_of_sweep.path, sweep=None, suites=Path("suites"))
    assert parts(runs.read_run(job_of_sweep.path)) == ["validation"]
    assert looks() == 0


def test_another_value_is_refused(train):
    with pytest.raises(SystemExit) as ended:
        train("run", "judge=tests")
    assert ended.value.code == 2
    assert not Path("run").exists()


def test_the_policy_does_not_depend_on_what_judges_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path / "suites" / "pole.yaml", SUITE)
    monkeypatch.setattr(job, "_report", lambda _: None)
    trained = []
    for judge in ("test", "validation", "off"):
        directory = Path(judge)
        directory.mkdir()
        job.run(compose(ROOT / "conf", [*TINY, f"judge={judge}"]), directory, sweep=None, suites=Path("suites"))
        run = runs.read_run(directory)
        policy = (run.judged_snapshot() / "policy.safetensors").read_bytes()
        trained.append((policy, run.info["config_hash"], run.info["results"]))
    assert trained[0] == trained[1] == trained[2]
