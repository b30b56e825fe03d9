"""`Behaviour`: episodes of the judged policy for a page, which no gate plays.

A finite validation part is played again; elsewhere the episodes come from a random stream of their own, `report`.
Neither says anything about the test set of a gate, so a page never counts as a look at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rl_eval import domains, policy
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.judged_policy import play_judged_policy, validation_seeds
from rl_eval.metrics import Confusion, confusion
from rl_eval.plugins import require_plugins_of_run
from rl_eval.rollout import Episodes
from rl_eval.run import RunRecord, environment_of

EPISODES = 20
SLOW_EPISODES = 4  # where an action takes long
MAX_STEPS = 5_000  # of one copy; longer episodes are not shown


@dataclass(frozen=True)
class Behaviour:
    """Episodes of the judged policy, greedy.

    Attributes:
        part: `validation`, a part of the data, or `report`, fresh episodes.
        policy: acted on `copies` observations at a time.
        baselines: name -> the same episodes, for the baselines that the domain shows.
    """

    config: EnvConfig
    episodes: Episodes = field(repr=False)
    part: str
    policy: policy.Policy = field(repr=False)
    copies: int
    baselines: Mapping[str, Episodes] = field(default_factory=dict, repr=False)

    @property
    def returns(self) -> np.ndarray | None:
        """`[E]` the return of each episode; None if the steps do not report the environment's own reward."""
        return self.episodes.per_episode("native_reward") if "native_reward" in self.episodes.outcome else None

    @property
    def confusion(self) -> Confusion | None:
        """Cases by label and by whether they were flagged; None if the steps do not report both."""
        if not {"label", "flagged"} <= self.episodes.outcome.keys():
            return None
        return confusion(self.episodes)

    def action_names(self) -> tuple[str, ...]:
        """The names of the actions in their order; empty if the domain has none."""
        return tuple(str(name) for name in domains.domain(self.config.name).action_names(self.config))


def observe(run: RunRecord, *, trust: bool = False) -> Behaviour:
    """Play the judged policy of a run.

    Args:
        trust: whether an environment that the run names may import a module.

    Raises:
        InputError: it cannot be played here: foreign code, missing data, a damaged snapshot, too many steps.
    """
    require_plugins_of_run(run.path, run.config, trust=trust)
    config = environment_of(run)
    if not trust and (why := domains.needs_trust(config)):
        raise InputError(f"{why}: add --trust if you trust where it comes from")
    domain = domains.domain(config.name)
    count, shown = (SLOW_EPISODES, ()) if domain.is_slow(config) else (EPISODES, domain.shown_baselines)
    play = play_judged_policy(
        run.path,
        config,
        seeds=validation_seeds(config, seed=run.seed, purpose="report", count=count),
        seed=run.seed,
        max_steps=MAX_STEPS,
        baselines={name.replace("_", " "): domain.baselines[name](config) for name in shown},
    )
    part = "report" if domain.episodes(config, "validation") is None else "validation"
    return Behaviour(config, play.episodes, part, play.policy, play.copies, play.baselines)
