"""What the judged policy does, seen on episodes that no gate plays.

Where a finite part of the data is kept for selection, that part is played once more; elsewhere episodes of a random
stream of their own, `report`. Neither says anything of a gate's held-out set, so a page never counts as a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_eval import domains, policy, seeding
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.selection import environment_of
from rl_eval.metrics import Confusion, confusion
from rl_eval.report.reading import Told
from rl_eval.rollout import Episodes, play

EPISODES = 20
SHIFTS = 50  # of a finite part
MOST_STEPS = 5_000  # of one copy; an episode that goes on for longer is not shown


@dataclass(frozen=True)
class Behaviour:
    """Episodes of the judged policy, greedy.

    Attributes:
        part: `validation`, a part of the data, or `report`, fresh episodes.
        acting: the policy, which acts on `copies` observations at a time.
        baselines: baseline -> the same episodes, of those that the domain shows.
    """

    config: EnvConfig
    episodes: Episodes = field(repr=False)
    part: str
    acting: policy.Policy = field(repr=False)
    copies: int
    baselines: Mapping[str, Episodes] = field(default_factory=dict, repr=False)

    @property
    def returns(self) -> np.ndarray | None:
        """`[E]` what each episode returned; None where the environment's own reward is not a fact of its steps."""
        return self.episodes.per_episode("native_reward") if "native_reward" in self.episodes.outcome else None

    @property
    def confusion(self) -> Confusion | None:
        """Cases by what they are and whether they were flagged; None where that has no meaning."""
        if not {"label", "flagged"} <= self.episodes.outcome.keys():
            return None
        return confusion(self.episodes)

    def action_names(self) -> tuple[str, ...]:
        """The actions as the domain calls them, in their order; empty where it has no names."""
        return tuple(str(name) for name in domains.domain(self.config.name).action_names(self.config))


def observe(told: Told, *, trust: bool = False) -> Behaviour:
    """Play the policy that gates judge.

    Args:
        trust: whether an environment that the run names may import a module.

    Raises:
        InputError: it cannot be played here: foreign code, missing data, a damaged snapshot, episodes without end.
    """
    config = environment_of(told.run)
    if not trust and (why := domains.needs_trust(config)):
        raise InputError(f"{why}: add --trust if you trust where it comes from")
    domain = domains.domain(config.name)
    limit = domain.episodes(config, "validation")
    if limit is None:
        part, seeds = "report", seeding.episode_seeds(told.seed, EPISODES, "report")
    else:
        part, seeds = "validation", list(range(min(limit, SHIFTS)))
    vector = domains.make(domain.in_one_process(config), n_envs=len(seeds), part="validation", autoreset=False)
    try:
        spaces = policy.Spaces.of(config, vector)
        # an absolute path, which no kind of policy begins with
        acting = policy.load(str(told.run.path.resolve()), spaces, config, seed=told.seed)
        bounded = Bounded(acting, MOST_STEPS)
        episodes = play(vector, bounded, seeds=seeds, order=told.seed)
        baselines = {
            name.replace("_", " "): play(vector, domain.baselines[name](config), seeds=seeds, order=told.seed)
            for name in domain.shown_baselines
        }
    finally:
        vector.close()
    return Behaviour(config, episodes, part, acting, len(seeds), baselines)


class Bounded:
    """A policy that refuses to act for longer than an episode that a page can show."""

    def __init__(self, acting: policy.Policy, most: int):
        self._acting, self._left, self._most = acting, most, most

    def __getattr__(self, name: str) -> Any:
        """What else the policy offers, such as `probabilities`."""
        return getattr(self._acting, name)

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """As the policy.

        Raises:
            InputError: it has acted too often.
        """
        if not self._left:
            raise InputError(f"an episode took more than {self._most:,} steps, so none is shown")
        self._left -= 1
        return policy.choose_actions(self._acting, obs, greedy, mask)
