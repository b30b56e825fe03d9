"""Prompts of no known task as observations of a run."""

import json

import numpy as np
import pytest

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.encoding import WIDTH
from rl_eval.domains.prompt.environment.dataset import load_encoder
from rl_eval.errors import InputError

PROMPT = "Classify the text. We are a small shop."


@pytest.mark.parametrize("config", [Config(), Config(features=False, masks=False, stop=False)], ids=["all", "none"])
def test_a_prompt_is_observed_as_in_training(config):
    observer = DOMAIN.text_observer(config, json.loads(json.dumps(DOMAIN.preprocessing(config))))
    observation, mask = observer.observe(PROMPT)
    envs = DOMAIN.make(config, n_envs=1, part="train")
    assert observation in envs.single_observation_space
    np.testing.assert_array_equal(observation[:WIDTH], load_encoder(config).encode([PROMPT])[0])
    if config.masks:
        assert mask.shape == (envs.single_action_space.n,)
        assert mask.dtype == bool
        assert mask[-1]
    else:
        assert mask is None


def test_the_identity_names_encoder_version_and_digest():
    named = load_encoder(Config()).identity
    identity = DOMAIN.text_observer(Config(), DOMAIN.preprocessing(Config())).identity
    assert identity == f"{named.name} {named.version} {named.digest}"


@pytest.mark.parametrize("text", ["", "  \n", "\ud800 hello", "x" * 20_000])
def test_what_is_no_prompt_is_one_sentence(text):
    observer = DOMAIN.text_observer(Config(), DOMAIN.preprocessing(Config()))
    with pytest.raises(InputError):
        observer.observe(text)


def test_the_preprocessing_of_another_encoder_is_refused():
    recorded = json.loads(json.dumps(DOMAIN.preprocessing(Config())))
    recorded["encoder"]["identity"]["name"] = "other"
    with pytest.raises(InputError, match="other"):
        DOMAIN.text_observer(Config(), recorded)
