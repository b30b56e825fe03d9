"""The judged snapshot on the very episodes that chose it, once more."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import numpy as np

from rl_eval import domains, policy, seeding
from rl_eval.diagnostics._reading import Reading, finite
from rl_eval.errors import InputError
from rl_eval.policy import Policy, choose_actions
from rl_eval.rewards import RewardFunction
from rl_eval.rollout import play

# As many at a time as training plays: other batches can round otherwise.
COPIES = 25
# Of all episodes together; longer ones take too long to be played beside everything else.
MOST_STEPS = 30_000


def replayed_returns(reading: Reading) -> np.ndarray | None:
    """`[E]` the returns in the training reward, which `results` in run.json sums up; None where that cannot be had."""
    results, episodes = reading.info.get("results"), reading.setting("validation.episodes")
    config = reading.environment
    if not isinstance(results, Mapping) or not isinstance(episodes, int) or config is None or reading.snapshot is None:
        return None
    if getattr(config, "base_url", None) is not None:
        return None  # a service of somebody's own need not answer as it did
    length = finite(results.get("mean_length"))
    limit = domains.domain(config.name).episodes(config, "validation")
    count = episodes if limit is None else min(episodes, limit)
    if results.get("episodes") != count or length is None or not 0 < count * length <= MOST_STEPS:
        return None
    seeds = seeding.episode_seeds(reading.seed, count, "select") if limit is None else list(range(count))
    one_process = domains.domain(config.name).in_one_process(config)
    try:
        reward = RewardFunction.from_config(reading.setting("reward.terms"))
        vector = domains.make(one_process, n_envs=min(COPIES, count), part="validation", autoreset=False)
        try:
            spaces = policy.Spaces.of(config, vector)
            acting = policy.load(str(reading.path.resolve()), spaces, config)
            played = play(vector, _Bounded(acting), seeds=seeds, order=reading.seed)
        finally:
            vector.close()
        rewards, _ = reward(played.outcome)
        return np.bincount(played.episode, weights=rewards, minlength=len(played))
    except Exception as error:  # an environment or data of somebody else
        said = f"the judged snapshot once more: {' '.join(str(error).split())[:300]}"
        reading.missing.append(said)
        return None


def same_machine(reading: Reading) -> bool:
    """Whether the run was made with these versions on this kind of machine, so that the same bytes are due."""
    from rl_eval.provenance import versions

    hardware = reading.info.get("hardware")
    known = hardware if isinstance(hardware, Mapping) else {}
    here = (versions(), platform.machine(), platform.system())
    return (reading.info.get("versions"), known.get("machine"), known.get("system")) == here


class _Bounded:
    """A policy that refuses to act without end."""

    def __init__(self, acting: Policy):
        self._acting, self._left = acting, MOST_STEPS

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """As the policy."""
        self._left -= 1
        if self._left < 0:
            raise InputError(f"its episodes took more than {MOST_STEPS:,} steps")
        return choose_actions(self._acting, obs, greedy, mask)
