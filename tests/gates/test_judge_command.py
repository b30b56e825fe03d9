"""The command that judges a run names the suites of its environment."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rl_eval.gates.judge_command import judge_best_commands, judge_command
from rl_eval.run import write_json
from tests.gates.fake_runs import write_run

SUITE = "rl_eval: 1\nenv: {env}\ncriteria:\n  a: {{metric: mean_length, at_least: 1}}\n"


@pytest.mark.parametrize(
    ("environments", "expected"),
    [
        (["cartpole", "lunarlander", "cartpole"], "`pytest suites/0.yaml suites/2.yaml --rl-run run`"),
        (
            ["lunarlander"],
            "`pytest suites/<file>.yaml --rl-run run`when there is a suite for env=cartpole and its data",
        ),
        (["cartpole\nunknown: 1"], "`pytest suites/<file>.yaml --rl-run run`"),
    ],
)
def test_the_suites_of_the_environment_are_named(tmp_path, monkeypatch, environments, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suites").mkdir()
    for number, env in enumerate(environments):
        (tmp_path / "suites" / f"{number}.yaml").write_text(SUITE.format(env=env))
    assert judge_command(write_run(tmp_path / "run").config, "run") == expected


def test_a_run_without_a_readable_config_gets_a_command_to_complete():
    assert judge_command({}, "onnx:a b.onnx") == "`pytest suites/<file>.yaml --rl-run 'onnx:a b.onnx'`"


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """`sweep(count, lr=scores, …)`: a suite of that many runs, and a sweep of two seeds a learning rate."""
    monkeypatch.chdir(tmp_path)

    def write(count, **scores_of):
        folder = Path("outputs/day/a sweep")
        folder.mkdir(parents=True)
        Path("suites").mkdir()
        text = SUITE.format(env=f"cartpole\nruns: {{count: {count}}}").replace("least: 1", "least: 1, by: estimate")
        Path("suites/pole.yaml").write_text(text)
        jobs = []
        for lr, scores in scores_of.items():
            for seed, score in enumerate(scores):
                config, info = {"lr": float(lr[2:])}, {"results": {"mean_return": score}}
                jobs.append(write_run(folder / f"{len(jobs)}_lr={lr},seed={seed}", seed=seed, config=config, info=info))
        write_json(folder / "sweep.json", {"jobs": [{"directory": job.path.name} for job in jobs]})
        return jobs

    return write


def pasted(sentence):
    """The words of the command in a sentence."""
    (command,) = [part for part in sentence.split("`") if part.startswith("pytest")]
    return shlex.split(command)


def test_the_best_job_of_a_sweep_is_judged_on_the_test_set(sweep):
    jobs = sweep(1, lr1=[10.0, 30.0], lr2=[20.0, 5.0])
    (sentence,) = judge_best_commands(jobs, Path("suites"))
    assert sentence.startswith("best on validation: 1_lr=lr1,seed=1 (mean_return 30)")
    assert pasted(sentence) == ["pytest", "suites/pole.yaml", "--rl-run", str(jobs[1].path)]


def test_a_suite_of_several_runs_gets_the_best_group_of_a_sweep(sweep):
    jobs = sweep(2, lr1=[10.0, 30.0], lr2=[25.0, 16.0])
    (sentence,) = judge_best_commands(jobs, Path("suites"))
    both = [word for job in jobs[2:] for word in ("--rl-run", str(job.path))]
    assert pasted(sentence) == ["pytest", "suites/pole.yaml", *both]


def test_a_sweep_that_is_one_group_is_named_as_such(sweep):
    jobs = sweep(2, lr1=[10.0, 30.0])
    (sentence,) = judge_best_commands(jobs, Path("suites"))
    assert pasted(sentence) == ["pytest", "suites/pole.yaml", "--rl-run", "outputs/day/a sweep"]
    assert sentence.startswith("judge the sweep on the test set with")


def test_too_few_runs_for_a_group_and_runs_that_cannot_be_compared(sweep):
    jobs = sweep(3, lr1=[10.0, 30.0], lr2=[None, 50.0])
    (sentence,) = judge_best_commands(jobs, Path("suites"))
    assert pasted(sentence)[2:] == ["--rl-run", str(jobs[3].path)]
    assert judge_best_commands(jobs[2:3], Path("suites")) == []
    assert judge_best_commands(jobs, Path("elsewhere")) == []
