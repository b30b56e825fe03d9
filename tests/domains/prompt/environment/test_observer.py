"""Prompts of somebody else as observations of a run."""

import json

import numpy as np
import pytest

from rl_eval.domains.prompt import DOMAIN, Config
from rl_eval.domains.prompt.encoding import WIDTH
from rl_eval.domains.prompt.environment.dataset import load_encoder, load_part
from rl_eval.domains.prompt.environment.states import APPLIED
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


@pytest.mark.parametrize("features", [True, False])
def test_with_its_task_and_mutations_a_prompt_is_observed_as_the_environment_shows_it(features):
    """Observations and masks of all prompts that are reached from two starts, also where the embedding is given."""
    config = Config(features=features)
    observer = DOMAIN.text_observer(config, DOMAIN.preprocessing(config))
    part = load_part(config, "train")
    states = part.states
    for start in (0, len(part) - 1):
        for state in states.can_reach[start].nonzero()[0]:
            facts = {"task": states.tasks[states.task[start]].name, "applied": APPLIED[state].nonzero()[0].tolist()}
            text, expected = states.texts[start][state], part.observations[start, state]
            for embedding in (None, expected[:WIDTH]):
                observation, mask = observer.observe(text, **facts, embedding=embedding)
                np.testing.assert_array_equal(observation, expected)
                assert mask.tolist() == [*states.legal[start, state], True]


def test_an_embedding_alone_is_all_that_is_observed_without_features():
    rows = np.ones((2, WIDTH), np.float32)
    plain = Config(features=False)
    observer = DOMAIN.text_observer(plain, DOMAIN.preprocessing(plain))
    np.testing.assert_array_equal(observer.observe_embeddings(rows), rows)
    with pytest.raises(InputError, match=r"features.*give prompt and embedding"):
        DOMAIN.text_observer(Config(), DOMAIN.preprocessing(Config())).observe_embeddings(rows)


@pytest.mark.parametrize(
    "facts", [{"task": "none"}, {"applied": [5]}, {"applied": [-1]}, {"applied": [10**30]}], ids=str
)
def test_an_unknown_task_or_mutation_is_one_sentence(facts):
    observer = DOMAIN.text_observer(Config(), DOMAIN.preprocessing(Config()))
    with pytest.raises(InputError):
        observer.observe(PROMPT, **facts)


def test_a_prompt_may_have_grown_by_its_mutations():
    observer = DOMAIN.text_observer(Config(), DOMAIN.preprocessing(Config()))
    text = "Classify the text." + " x" * 9_000
    observer.observe(text, applied=[2])
    with pytest.raises(InputError, match="applied"):
        observer.observe(text)


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
