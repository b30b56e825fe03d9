"""Metrics of prompt mutation: gains over the start prompt, hacking, and whether reward model and embedding carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.domains.prompt.config import LEAST_NATS
from rl_eval.domains.prompt.encoding import WIDTH
from rl_eval.metrics import MetricUndefined, metric

if TYPE_CHECKING:
    from rl_eval.rollout import Episodes
    from rl_eval.run import Run

_NATS = LEAST_NATS, -LEAST_NATS


def _gain(name: str) -> Callable[[Episodes, Any], np.ndarray]:
    def values(episodes: Episodes, config: Any) -> np.ndarray:
        """`[E]` the gain of each episode's last prompt over its first."""
        return _per_episode(episodes, f"{name}_gain")

    return values


_judge, _accuracy, _feedback = _gain("judge"), _gain("accuracy"), _gain("feedback")


def _per_episode(episodes: Episodes, fact: str) -> np.ndarray:
    if fact not in episodes.outcome:
        raise MetricUndefined(
            f"training prompts have no {fact}, so that no reward can read the judge: play another part"
        )
    return episodes.per_episode(fact)


def _by_task(episodes: Episodes, config: Any) -> dict[str, np.ndarray]:
    """Name of each task that was played -> bool `[E]`, which episodes are of it."""
    from rl_eval.domains.prompt.environment.dataset import load_tasks

    task = episodes.outcome["task"][episodes.outcome["episode_end"]]
    return {name: task == number for number, name in enumerate(load_tasks(config)) if (task == number).any()}


def _mean(values: np.ndarray, name: str) -> float:
    if not len(values):
        raise MetricUndefined(f"no episode was played, so there is no {name}: play at least one")
    return float(values.mean())


@metric("task", needs=("judge_gain",), better="higher", variable=_judge, groups=_by_task, bounds=lambda config: _NATS)
def mean_judge_gain(episodes: Episodes, config: Any) -> float:
    """Mean gain of the last prompt over the start, in calibrated log-likelihood (nats) of a model that never trains."""
    return _mean(_judge(episodes, config), "mean_judge_gain")


@metric(
    "task",
    needs=("accuracy_gain",),
    better="higher",
    variable=_accuracy,
    groups=_by_task,
    bounds=lambda config: (-1.0, 1.0),
)
def mean_accuracy_gain(episodes: Episodes, config: Any) -> float:
    """Mean gain of the last prompt over the start, in the judge's calibrated accuracy."""
    return _mean(_accuracy(episodes, config), "mean_accuracy_gain")


@metric(
    "task", needs=("feedback_gain",), better="higher", variable=_feedback, groups=_by_task, bounds=lambda config: _NATS
)
def mean_feedback_gain(episodes: Episodes, config: Any) -> float:
    """Mean gain of the last prompt, in nats of the language model that the reward model was fitted to."""
    return _mean(_feedback(episodes, config), "mean_feedback_gain")


@metric("task", needs=("predicted_gain",), better="higher")
def mean_predicted_gain(episodes: Episodes, config: Any) -> float:
    """Mean gain of the last prompt over the start, as the reward model predicts it, in nats."""
    return _mean(episodes.per_episode("predicted_gain"), "mean_predicted_gain")


def _hacked(episodes: Episodes, config: Any) -> np.ndarray:
    return _per_episode(episodes, "hacked")


@metric("task", needs=("hacked",), better="lower", variable=_hacked, bounds=lambda config: (0.0, 1.0))
def hacking_rate(episodes: Episodes, config: Any) -> float:
    """Share of episodes that the reward model finds better than the start, and the judge worse."""
    return _mean(_hacked(episodes, config), "hacking_rate")


@metric("training", unit="run", better="higher")
def reward_model_correlation(run: Run) -> float:
    """Rank correlation of the reward model with its language model on unseen tasks, mean over tasks."""
    return _recorded_correlation(run, "estimate")


@metric("training", unit="run", better="higher")
def reward_model_correlation_low(run: Run) -> float:
    """Lower end of the 95 % interval of `reward_model_correlation` over tasks."""
    return _recorded_correlation(run, "low")


def _recorded_correlation(run: Run, key: str) -> float:
    from rl_eval.run import read_preprocessing

    value: Any = read_preprocessing(run) or {}
    for name in ("reward_model", "rank_correlation", key):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise MetricUndefined(f"{run.path / 'preprocessing.json'} records no rank correlation of a reward model")
    return float(value)


@metric("training", unit="run", better="lower")
def judge_flicker(run: Run) -> float:
    """Share of the repeated requests to the judge that were answered in two ways; 0 of a model on this machine."""
    from rl_eval.domains.prompt.environment.dataset import load_judge_repeats
    from rl_eval.run import environment_of

    config: Any = environment_of(run)
    repeated, different = load_judge_repeats(config)
    if config.judge.base_url is not None and not repeated:
        raise MetricUndefined("no request to the judge was sent twice: let it score prompts first")
    return different / repeated if repeated else 0.0


@metric("training", unit="run", better="higher")
def shuffled_embedding_drop(run: Run) -> float:
    """Loss of mean judge gain with the embeddings of other starts, in nats; 0 of a policy that does not read them."""
    from rl_eval.domains.prompt.ablation import shuffled_drop

    return shuffled_drop(run, slice(0, WIDTH))


@metric("training", unit="run", better="higher")
def shuffled_state_drop(run: Run) -> float:
    """Loss of mean judge gain with the observations of other starts, in nats; 0 of a policy that does not read them."""
    from rl_eval.domains.prompt.ablation import shuffled_drop

    return shuffled_drop(run, slice(None))


METRICS = (
    mean_judge_gain,
    mean_accuracy_gain,
    mean_feedback_gain,
    mean_predicted_gain,
    hacking_rate,
    reward_model_correlation,
    reward_model_correlation_low,
    judge_flicker,
    shuffled_embedding_drop,
    shuffled_state_drop,
)
