"""Metrics of prompts, worked by hand on a few episodes and read from a run."""

import json

import numpy as np
import pytest

from rl_eval.domains.prompt import Config, metrics
from rl_eval.errors import InputError
from rl_eval.metrics import MetricUndefined
from rl_eval.rollout import Episodes
from rl_eval.run import FILES_SHA256, file_sha256


class FakeRun:
    """A run directory with a preprocessing.json alone."""

    def __init__(self, path, content):
        self.path = path
        (path / "preprocessing.json").write_text(json.dumps({"schema": 1, **content}))
        self.info = {FILES_SHA256: {"preprocessing.json": file_sha256(path / "preprocessing.json")}}


@pytest.fixture
def episodes():
    """Two episodes of two and one steps."""
    outcome = {
        "judge_gain": np.array([0.5, -0.25, -0.5]), "accuracy_gain": np.array([0.25, 0.0, -0.125]),
        "feedback_gain": np.array([1.0, 0.0, 0.5]), "predicted_gain": np.array([0.5, 0.5, 0.25]),
        "hacked": np.array([False, False, True]),
    }  # fmt: skip
    return Episodes(np.arange(2), np.array([2, 1]), np.ones(2, bool), np.array([0, 0, 1]), outcome, np.zeros((2, 1)))


def test_means_are_over_episodes_of_the_gain_of_all_steps(episodes):
    config = Config()
    assert metrics.mean_judge_gain(episodes, config) == pytest.approx(-0.125)
    assert metrics.mean_accuracy_gain(episodes, config) == pytest.approx(0.0625)
    assert metrics.mean_feedback_gain(episodes, config) == pytest.approx(0.75)
    assert metrics.mean_predicted_gain(episodes, config) == pytest.approx(0.625)
    assert metrics.hacking_rate(episodes, config) == pytest.approx(0.5)


def test_the_judge_is_undefined_on_training_prompts(episodes):
    del episodes.outcome["judge_gain"]
    with pytest.raises(MetricUndefined, match="training"):
        metrics.mean_judge_gain(episodes, Config())


def test_values_lie_within_the_bounds_of_their_metric(episodes):
    for entry in metrics.METRICS:
        if entry.variable is not None:
            low, high = entry.bounds(Config())
            values = entry.variable(episodes, Config())
            assert ((low <= values) & (values <= high)).all()


def test_the_correlation_of_the_reward_model_is_read_from_the_run(tmp_path):
    run = FakeRun(tmp_path, {"reward_model": {"rank_correlation": {"estimate": 0.625, "low": 0.5}}})
    assert metrics.reward_model_correlation(run) == 0.625
    assert metrics.reward_model_correlation_low(run) == 0.5


@pytest.mark.parametrize(
    "content", [{}, {"reward_model": 3}, {"reward_model": {"rank_correlation": {"estimate": True}}}]
)
def test_a_run_without_a_correlation_is_one_sentence(tmp_path, content):
    with pytest.raises(InputError, match="rank correlation"):
        metrics.reward_model_correlation(FakeRun(tmp_path, content))
