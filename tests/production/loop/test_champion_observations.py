"""What a champion learned from: its training's experience where there is one, else its own environment."""

import numpy as np
import pytest

from rl_eval import run as run_files
from rl_eval.production.loop.champion_observations import champion_observations, observations_of_run
from rl_eval.production.loop.experience import observations, split
from rl_eval.production.loop.training import run_training
from rl_eval.production.loop.versions import local_run, register_run
from tests.production.loop.traffic import collect


@pytest.mark.parametrize("name", ["one", "box"])
def test_observations_of_a_run_are_of_its_environment(runs, name):
    champion = run_files.read_run(runs / name)
    rows = observations_of_run(champion, 50)
    assert rows.shape == (50, 4 if name == "one" else 3)
    assert len(np.unique(rows, axis=0)) > 40


def test_a_champion_from_production_has_the_experience_that_it_learned_from(parts, runs):
    register_run(parts, runs / "one", "ada")
    own = champion_observations(parts, 1, local_run(parts, 1), 30)
    assert np.array_equal(own, observations_of_run(local_run(parts, 1), 30))
    collect(parts, 200)
    run_training(parts, parts.store.start_training("experiences"))
    learned, _ = split(parts.store.accepted(), parts.config.loop.held_out)
    collect(parts, 50, first=900)  # of which it has learned nothing
    assert np.array_equal(champion_observations(parts, 2, local_run(parts, 2), 40), observations(learned)[-40:])
