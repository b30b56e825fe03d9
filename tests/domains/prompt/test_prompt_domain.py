"""The prompt domain as an object: config, preprocessing, cases."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.environment.dataset import load_part
from rl_eval.errors import InputError

CONFIG = Config()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"path": "x"}, "tasks=folder"),
        ({"tasks": "folder", "feedback": "m", "judge": {"model": "m"}}, "judge"),
        ({"judge": {"model": "m"}}, "tasks=folder"),
        ({"items": 20}, "tasks=folder"),
        ({"judge": {"score": "accuracy"}}, "base_url"),
        ({"judge": {"base_url": "https://example.com/v1"}}, "model"),
        ({"judge": {"model": "m", "money": 3.0}}, "price_in"),
        ({"max_mutations": 6}, "max_mutations"),
        ({"encoder": "word2vec"}, "encoder"),
        ({"encoder": "endpoint", "encoder_url": "http://localhost/v1"}, "encoder_model"),
        ({"encoder_url": "http://localhost/v1"}, "encoder_url"),
    ],
)
def test_a_config_that_cannot_be_is_refused(values, named):
    with pytest.raises(ValidationError, match=named):
        Config(**values)


def test_facts_and_actions_are_those_of_the_environment():
    for config in (CONFIG, Config(stop=False)):
        facts = {}
        for part in ("train", "test"):
            envs = DOMAIN.make(config, n_envs=1, part=part)
            envs.reset(seed=0)
            facts[part] = set(envs.step(np.zeros(1, int))[4]["outcome"])
        assert facts["test"] == set(DOMAIN.facts(config))
        assert facts["test"] - facts["train"] == set(DOMAIN.held_out_facts)
        assert len(DOMAIN.action_names(config)) == envs.single_action_space.n
        assert DOMAIN.longest_episode(config) == 5


def test_cases_are_start_prompts():
    for part in ("train", "validation", "test"):
        count = DOMAIN.cases(CONFIG, part)
        assert count == DOMAIN.episodes(CONFIG, part) == len(load_part(CONFIG, part))
        assert len(np.unique(DOMAIN.case_hashes(CONFIG, part))) == count
        assert DOMAIN.case_observations(CONFIG, part).shape[0] == count
    assert set(DOMAIN.fingerprints(CONFIG)) == {"train", "validation", "test"}


def test_preprocessing_is_json_and_fits_the_config_that_made_it():
    recorded = json.loads(json.dumps(DOMAIN.preprocessing(CONFIG)))
    assert recorded["encoder"]["identity"]["width"] == 1536
    assert recorded["reward_model"]["rank_correlation"]["tasks"] == 7
    observations = load_part(CONFIG, "train").observations
    assert len(recorded["columns"]) == observations.shape[-1]
    constant = [recorded["columns"].index(name) for name in recorded["constant"]]
    assert (np.ptp(observations[:, 0], axis=0) == 0).nonzero()[0].tolist() == constant
    assert DOMAIN.with_preprocessing(CONFIG, recorded) == CONFIG


def test_another_encoder_of_the_same_width_is_refused():
    recorded = json.loads(json.dumps(DOMAIN.preprocessing(CONFIG)))
    recorded["encoder"]["identity"]["name"] = "text-embedding-3-small"
    with pytest.raises(InputError, match="text-embedding-3-small"):
        DOMAIN.with_preprocessing(CONFIG, recorded)


@pytest.mark.parametrize("damage", [{}, {"features": ["length"]}, {"encoder": None}, {"encoder": {"idf": 3}}])
def test_a_damaged_preprocessing_is_one_sentence(damage):
    recorded = {**DOMAIN.preprocessing(CONFIG), **damage} if damage else None
    with pytest.raises(InputError) as caught:
        DOMAIN.with_preprocessing(CONFIG, recorded)
    assert "\n" not in str(caught.value)


def test_the_note_names_the_correlation_and_its_interval():
    (note,) = DOMAIN.notes(CONFIG)
    assert "rank correlation" in note
    assert "interval" in note
