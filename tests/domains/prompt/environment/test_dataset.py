"""The prompts of a config: scores of the right model in the right part, observations that hold what they say."""

import json

import numpy as np
import pytest

from rl_eval.domains.prompt.config import LEAST_NATS, Config
from rl_eval.domains.prompt.encoding import WIDTH, HashedNgrams
from rl_eval.domains.prompt.environment import dataset
from rl_eval.domains.prompt.environment.observations import FEATURES
from rl_eval.domains.prompt.environment.source import Source
from rl_eval.domains.prompt.environment.states import APPLIED
from rl_eval.errors import InputError
from tests.domains.prompt.synthetic_tasks import TASKS, SyntheticScores

CONFIG = Config()


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_scores_are_those_of_the_table(part):
    prompts, table = dataset.load_part(CONFIG, part), SyntheticScores()
    for start, state in np.argwhere(prompts.states.can_reach)[::7]:
        text, task = prompts.states.texts[start][state], TASKS[part][prompts.states.task[start]]
        feedback, judge = (table.get(text, task, model) for model in ("feedback", "judge"))
        assert prompts.scores["feedback"][start, state] == pytest.approx(feedback.calibrated, abs=1e-5)
        assert prompts.scores["length"][start, state] == len(text)
        if part != "train":
            assert prompts.scores["judge"][start, state] == pytest.approx(judge.calibrated, abs=1e-5)
            assert prompts.scores["accuracy"][start, state] == pytest.approx(judge.calibrated_accuracy, abs=1e-5)


def test_the_judge_scores_no_prompt_of_the_training_part():
    prompts = dataset.load_part(CONFIG, "train")
    assert set(prompts.scores) == {"predicted", "rubric", "feedback", "length"}


def test_where_no_legal_mutations_lead_there_is_no_score():
    prompts = dataset.load_part(CONFIG, "test")
    for values in prompts.scores.values():
        np.testing.assert_array_equal(np.isnan(values), ~prompts.states.can_reach)


def test_observations_have_the_embedding_first_and_features_that_say_what_is_applied():
    prompts = dataset.load_part(CONFIG, "test")
    assert prompts.observations.shape == (len(prompts), 32, WIDTH + len(FEATURES))
    first = WIDTH + FEATURES.index("applied_fallback")
    np.testing.assert_array_equal(
        prompts.observations[:, :, first : first + 5] > 0, np.broadcast_to(APPLIED, (len(prompts), 32, 5))
    )
    bare = dataset.load_part(Config(features=False), "test").observations
    np.testing.assert_array_equal(bare, prompts.observations[..., :WIDTH])
    np.testing.assert_allclose(np.linalg.norm(bare, axis=2), 1.0, rtol=1e-5)


def test_the_encoder_is_fitted_on_training_prompts_alone():
    texts = [text for texts in dataset.load_states(CONFIG, "train").texts for text in texts]
    assert dataset.load_encoder(CONFIG).identity == HashedNgrams.fit(texts).identity


def test_an_encoder_fitted_elsewhere_is_applied():
    fitted = dataset.load_encoder(CONFIG).to_json()
    config = CONFIG.model_copy(update={"preprocessing": fitted})
    np.testing.assert_array_equal(
        dataset.load_part(config, "test").observations, dataset.load_part(CONFIG, "test").observations
    )
    assert json.loads(config.model_dump_json())["preprocessing"]["identity"]["name"] == "hashed-ngrams"


def test_parts_share_no_start_and_fingerprints_differ():
    parts = [dataset.load_part(CONFIG, part) for part in ("train", "validation", "test")]
    hashes = np.concatenate([part.hashes for part in parts])
    assert len(np.unique(hashes)) == len(hashes)
    assert len({dataset.fingerprint(CONFIG, part) for part in ("train", "validation", "test")}) == 3


class _Sparse(SyntheticScores):
    """Without one prompt, or with scores of minus infinity."""

    def __init__(self, missing):
        self.missing = missing

    def get(self, prompt, task, model):
        if self.missing:
            raise InputError("the table has no score of this prompt")
        score = super().get(prompt, task, model)
        return type(score)(score.log_likelihood, -50.0, score.accuracy, score.calibrated_accuracy)


def test_a_prompt_without_a_score_is_an_error_and_a_very_low_score_is_bounded():
    states = dataset.load_states(CONFIG, "test")
    low = Source(TASKS, _Sparse(missing=False), "feedback", "judge")
    assert np.nanmin(dataset.language_model_scores(states, low, "judge")[0]) == pytest.approx(LEAST_NATS)
    missing = Source(TASKS, _Sparse(missing=True), "feedback", "judge")
    with pytest.raises(InputError, match="no score"):
        dataset.language_model_scores(states, missing, "judge")
