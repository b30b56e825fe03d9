"""Episodes that are played for the page: films, seeds and decisions."""

import re

import numpy as np
import pytest

from rl_eval.report.animation import films
from rl_eval.report.behaviour import observe
from rl_eval.report.html_page import MAX_BYTES
from rl_eval.run import read_record
from tests.report.judged_runs import failing, judged_run
from tests.report.read_page import page_of


def test_films_show_best_median_and_worst_episode(tmp_path):
    path = judged_run(tmp_path / "run", "lunarlander", rule=np.zeros(8), bias=(1.0, 0.0, 0.0, 0.0)).path
    behaviour = observe(read_record(path))
    rendered = films(behaviour)
    assert [film.label for film in rendered] == ["Best", "Median", "Worst"]
    for film, expected in zip(
        rendered, (behaviour.returns.max(), np.sort(behaviour.returns)[9], behaviour.returns.min()), strict=True
    ):
        (text,) = re.findall(r"return (−?[\d,.]+) after", film.description)
        assert float(text.replace("−", "-").replace(",", "")) == pytest.approx(expected, rel=1e-3)
        assert film.rows * film.columns >= 2
        (index,) = np.flatnonzero(
            behaviour.returns == behaviour.returns[np.argmin(np.abs(behaviour.returns - expected))]
        )
        assert film.description.endswith(f" Seed {behaviour.episodes.seeds[index]}.")
    assert sum(len(film.source) for film in rendered) < MAX_BYTES


def test_looking_at_episodes_for_the_page_is_no_look_at_the_gate(cartpole):
    from rl_eval.seeding import episode_seeds

    behaviour = observe(read_record(cartpole))
    assert behaviour.part == "report"
    assert behaviour.episodes.seeds.tolist() == episode_seeds(1, 20, "report")
    assert not set(behaviour.episodes.seeds) & {
        s for p in ("gate", "select", "doctor") for s in episode_seeds(1, 500, p)
    }


def test_decisions_on_cases_are_counted(tmp_path):
    env = {"name": "threat", "train_flows": 400, "validation_flows": 400, "test_flows": 400}
    path = judged_run(tmp_path / "run", env, rule=np.zeros(3), bias=(0.0, 1.0, 0.0, 0.0), suites=[failing()]).path
    behaviour = observe(read_record(path))
    assert behaviour.part == "validation"
    counted = behaviour.confusion
    assert (counted.fn, counted.tn) == (0, 0)
    assert counted.tp + counted.fp == 400
    text = page_of(path).text
    assert f"Threat {counted.tp} 100.0 % caught 0 0.0 % missed {counted.tp}" in text
    assert f"Benign {counted.fp} 100.0 % false alarms 0 0.0 % spared {counted.fp}" in text
    assert "block 100.0 % 100.0 %" in text
