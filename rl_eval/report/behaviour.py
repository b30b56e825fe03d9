"""What the judged policy does, seen on episodes that no gate plays.

Where a finite part of the data is kept for selection, that part is played once more; elsewhere episodes of a random
stream of their own, `report`. Neither says anything of a gate's held-out set, so a page never counts as a look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rl_eval import envs, policy, seeding
from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.selection import environment_of
from rl_eval.metrics import Confusion, confusion
from rl_eval.report.reading import Told
from rl_eval.rollout import Episodes, play

EPISODES = 20
SHIFTS = 50  # of a finite part
ORDERS = ("failure_rate", "optimal")  # the baselines that an order is shown beside
MOST_STEPS = 5_000  # of one copy; an episode that goes on for longer is not shown


@dataclass(frozen=True)
class Behaviour:
    """Episodes of the judged policy, greedy.

    Attributes:
        part: `select`, a part of the data, or `report`, fresh episodes.
        acting: the policy, which acts on `copies` observations at a time.
        beside: baseline -> the same episodes, where actions put cases into an order.
    """

    config: EnvConfig
    episodes: Episodes = field(repr=False)
    part: str
    acting: policy.Policy = field(repr=False)
    copies: int
    beside: Mapping[str, Episodes] = field(default_factory=dict, repr=False)

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
        return tuple(str(name) for name in getattr(envs.domain(self.config.name), "ACTIONS", ()))

    def shares_by_label(self) -> dict[str, np.ndarray]:
        """Benign and threat -> `[A]` the share of their cases that got each action; empty where not recorded."""
        outcome = self.episodes.outcome
        if not {"label", "action"} <= outcome.keys():
            return {}
        count = max(len(self.action_names()), int(outcome["action"].max()) + 1)
        shares = {}
        for name, label in (("benign", 0), ("threat", 1)):
            actions = outcome["action"][outcome["label"] == label].astype(np.int64)
            if len(actions):
                shares[name] = np.bincount(actions, minlength=count) / len(actions)
        return shares

    def flagged_by_category(self) -> list[tuple[str, int, float]]:
        """Each category of threats: its name, its cases, and the share that was flagged; least caught first."""
        outcome, known = self.episodes.outcome, getattr(envs.domain(self.config.name), "categories", None)
        if known is None or not {"label", "category", "flagged"} <= outcome.keys():
            return []
        names, threats = known(self.config), outcome["label"] == 1
        category, flagged = outcome["category"][threats], outcome["flagged"][threats]
        rows = []
        for index in np.unique(category):
            of_it = flagged[category == index]
            name = names[int(index)] if 0 <= int(index) < len(names) else str(int(index))
            rows.append((name, len(of_it), float(of_it.mean())))
        return sorted(rows, key=lambda row: row[2])[:40]


def observe(told: Told, *, trust: bool = False) -> Behaviour:
    """Play the policy that gates judge.

    Args:
        trust: whether an environment that the run names may import a module.

    Raises:
        InputError: it cannot be played here: foreign code, missing data, a damaged snapshot, episodes without end.
    """
    config = environment_of(told.run)
    if not trust and (why := envs.needs_trust(config)):
        raise InputError(f"{why}: add --trust if you trust where it comes from")
    limit = envs.episodes_in(config, "select")
    if limit is None:
        part, seeds = "report", seeding.episode_seeds(told.seed, EPISODES, "report")
    else:
        part, seeds = "select", list(range(min(limit, SHIFTS)))
    vector = envs.make(one_process(config), n_envs=len(seeds), part="select", autoreset=False)
    try:
        spaces = policy.Spaces.of(config, vector)
        # an absolute path, which no kind of policy begins with
        acting = policy.load(str(told.run.path.resolve()), spaces, config, seed=told.seed)
        bounded = Bounded(acting, MOST_STEPS)
        episodes = play(vector, bounded, seeds=seeds, order=told.seed)
        baselines = {
            name: envs.domain(config.name).BASELINES[name](config) for name in ORDERS if hasattr(vector, "rank")
        }
        beside = {
            name.replace("_", " "): play(vector, each, seeds=seeds, order=told.seed) for name, each in baselines.items()
        }
    finally:
        vector.close()
    return Behaviour(config, episodes, part, acting, len(seeds), beside)


def one_process(config: EnvConfig, **kwargs: Any) -> EnvConfig:
    """The environment stepped by this process alone, with more arguments for those of Gymnasium."""
    if not isinstance(config, envs.domain("gym").Config):
        return config
    given: Mapping[str, Any] = config.kwargs
    return config.model_copy(update={"workers": 1, "kwargs": {**given, **kwargs}})


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
