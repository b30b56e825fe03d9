"""`rl-eval replay`: the episodes that a verdict names, played again."""

import json
import shlex

import numpy as np
import pytest

from agents import AGENTS
from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.gates import evaluate_run, load_suite
from rl_eval.replay import replay
from rl_eval.run import read_run
from tests.gates import fake_agent
from tests.gates.fake_runs import FALL, write_run

POLE = """\
rl_eval: 1
env: cartpole
episodes: {max: 30, min: 30, fixed: 10, return_bounds: [0, 500]}
controls: []
leaks: report
criteria:
  solved: {metric: mean_return, at_least: 475}
  short: {metric: mean_length, at_most: 8, by: estimate}
"""
FLOWS = """\
rl_eval: 1
env: {name: threat, train_flows: 400, validation_flows: 400, test_flows: 400}
controls: []
leaks: report
criteria:
  recall: {metric: recall, at_least: 0.9}
  cost: {metric: mean_cost, at_most: 0.01}
"""


@pytest.fixture(autouse=True)
def _fake_agent(monkeypatch):
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)


@pytest.fixture
def pole(tmp_path):
    (tmp_path / "pole.yaml").write_text(POLE)
    return write_run(tmp_path / "run", rule=FALL, record=False).path, tmp_path / "pole.yaml"


def test_the_worst_episodes_of_a_criterion_are_replayed_with_their_values(pole):
    run, suite = pole
    solved, short = evaluate_run(load_suite(suite), read_run(run)).criteria[:2]
    for criterion, sign in ((solved, 1), (short, -1)):
        assert criterion.decision == "FAIL"
        values = [value for _, value in criterion.worst]
        assert len(values) == 5
        assert values == sorted(values, key=lambda value: sign * value)
        for seed, value in criterion.worst:
            done = replay(run, seed, film=False)
            assert (done.steps, done.totals["native_reward"]) == (value, value)
            assert done.terminated
            assert len(done.actions) == done.steps


def test_an_episode_of_a_finite_set_is_replayed_in_the_order_of_its_suite(tmp_path):
    suite = tmp_path / "flows.yaml"
    suite.write_text(FLOWS)
    env = {"name": "threat", "train_flows": 400, "validation_flows": 400, "test_flows": 400}
    rng = np.random.default_rng(0)
    run = write_run(tmp_path / "run", env, rule=rng.normal(size=3), bias=(0.0, 0.1, 0.0, 0.0), record=False).path
    recall, cost = evaluate_run(load_suite(suite), read_run(run)).criteria[:2]
    assert recall.worst
    for seed, value in recall.worst:
        facts = replay(run, seed, suite=suite).episode.outcome
        assert facts["flagged"][facts["label"] == 1].mean() == pytest.approx(value)
    for seed, value in cost.worst:
        assert replay(run, seed, suite=suite).episode.outcome["cost"].mean() == pytest.approx(value)
    with pytest.raises(InputError, match=r"--seed \d+ does not exist: give a whole number from 0 to"):
        replay(run, 10**6, suite=suite)


def test_the_command_prints_steps_outcome_and_the_film(pole, capsys):
    run, _ = pole
    assert main(shlex.split(f"replay {shlex.quote(str(run))} --seed 3 --steps 4")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["step", "action", "native_reward"]
    assert lines[2].split()[::2] == ["1", "1"]
    assert "more" in lines[4]
    assert lines[-2].startswith("seed 3, test part: ")
    assert "ended by the environment; in all: native_reward" in lines[-2]
    film = run / "replays" / "test_3.webp"
    assert lines[-1] == f"film: {film}"
    assert film.read_bytes()[8:12] == b"WEBP"


def test_the_command_prints_json(pole, capsys):
    run, suite = pole
    assert main(["replay", str(run), "--seed", "3", "--suite", str(suite), "--no-film", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["steps"] == len(values["actions"]) == len(values["outcome"]["native_reward"])
    assert (values["ended"], values["film"]) == ("terminated", None)
    assert not (run / "replays").exists()


@pytest.mark.parametrize("arguments", [["--seed", "-1"], ["--seed", "1", "--part", "tests"], ["--seed", "x"], []])
def test_bad_input_is_one_sentence(arguments, pole, capsys):
    assert main(["replay", str(pole[0]), *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_films_are_not_written_through_a_link(pole, tmp_path):
    run, _ = pole
    (tmp_path / "elsewhere").mkdir()
    (run / "replays").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="replays is a link"):
        replay(run, 3)
    assert list((tmp_path / "elsewhere").iterdir()) == []
