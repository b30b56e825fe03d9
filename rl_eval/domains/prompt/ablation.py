"""The ablation by shuffled observations: how well a policy does when it sees other prompts than it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.environment.dataset import PromptSet, load_part
from rl_eval.domains.prompt.environment.vector import PromptVector
from rl_eval.judged_policy import load
from rl_eval.policy import Policy
from rl_eval.rollout import play
from rl_eval.run import Run, environment_of

SHUFFLES = 8


def shuffled_drop(run: Run, columns: slice) -> float:
    """How much mean judge gain a run's policy loses where its observations are shuffled, in nats.

    Each start is observed as another one, in the same states; action masks stay its own. The mean is over the test part
    and several shuffles. A policy that reads none of the columns plays the same then: its drop is exactly 0.

    Args:
        columns: of the observation, that are of the other start.
    """
    config = environment_of(run)
    assert isinstance(config, Config)
    return drop(config, load_part(config, "test"), run, columns)


def drop(config: Config, prompts: PromptSet, judged: Run | Policy, columns: slice) -> float:
    """`shuffled_drop` of a policy on some prompts."""
    shuffled = [_mean_gain(config, shuffle(prompts, columns, seed), judged) for seed in range(SHUFFLES)]
    return _mean_gain(config, prompts, judged) - float(np.mean(shuffled))


def shuffle(prompts: PromptSet, columns: slice, seed: int) -> PromptSet:
    """The same prompts, each start with some columns of the observations of another one."""
    order = np.random.default_rng(seed).permutation(len(prompts))
    observations = prompts.observations.copy()
    observations[order, :, columns] = prompts.observations[np.roll(order, 1), :, columns]
    return replace(prompts, observations=observations)


def _mean_gain(config: Config, prompts: PromptSet, judged: Run | Policy) -> float:
    vector = PromptVector(config, n_envs=len(prompts), part="test", autoreset=False, prompts=prompts)
    policy = load(judged.path, config, vector) if isinstance(judged, Run) else judged
    episodes = play(vector, policy, seeds=range(len(prompts)))
    return float(episodes.per_episode("judge_gain").mean())
