"""The held-out episodes of a suite, played by one policy after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium as gym
import numpy as np

from rl_eval import envs, policy, seeding
from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.schema import Suite
from rl_eval.gates.selection import LOCATIONS, environment_of
from rl_eval.rollout import Episodes, play
from rl_eval.run import Run

DEFAULT_EPISODES = 100
# One Python call a step and copy: more copies than this only lengthen the tail of the last episodes.
COPIES_OF_GYMNASIUM = 32
# Environments that step their copies with numpy: the more, the better, up to what fits a cache.
COPIES_OF_VECTOR = 256

# Called with the episodes played, their number, and by `label=` whose they are.
OnEpisodes = Callable[..., None]


@dataclass
class Arena:
    """One environment, ready to be played by any number of policies on the same episodes.

    Attributes:
        env: what is played.
        seeds: one an episode, or the indices of a finite gate set.
    """

    suite: Suite
    env: EnvConfig
    trust: bool = False
    on_episodes: OnEpisodes | None = None
    seeds: list[int] = field(init=False)

    def __post_init__(self) -> None:
        _refuse_foreign_code(self.suite, self.env, self.trust)
        fixed = self.suite.spec.episodes.fixed
        limit = envs.domain(self.env.name).gate_episodes(self.env)
        if limit is None:
            self.seeds = seeding.episode_seeds(self.suite.gate_seed, fixed or DEFAULT_EPISODES)
        else:
            self.seeds = list(range(min(fixed or limit, limit)))
        most = COPIES_OF_GYMNASIUM if isinstance(self.env, envs.domain("gym").Config) else COPIES_OF_VECTOR
        self._vector = envs.make(self.env, n_envs=min(len(self.seeds), most), part="gate", autoreset=False)
        self._spaces = policy.Spaces.of(self.env, self._vector)

    def play(self, spec: str, label: str) -> Episodes:
        """Every episode, played by the policy that `spec` names.

        Raises:
            InputError: the policy cannot be loaded, or does not fit.
        """
        acting = policy.load(spec, self._spaces, self.env, seed=self.suite.gate_seed, trust=self.trust)
        total = len(self.seeds)

        def played(done: int) -> None:
            if self.on_episodes:
                self.on_episodes(done, total, label=label)

        return play(
            self._vector,
            acting,
            seeds=self.seeds,
            greedy=self.suite.spec.policy == "greedy",
            order=self.suite.gate_seed,
            on_episodes=played,
        )

    def expand(self, spec: str) -> list[str]:
        """`constant:*` as every constant action (low, middle and high of a box); anything else as it is."""
        if spec != "constant:*":
            return [spec]
        action = self._spaces.action
        if isinstance(action, gym.spaces.Discrete):
            return [f"constant:{value}" for value in np.arange(action.n) + action.start]
        return ["constant:low", "constant:middle", "constant:high"]

    def close(self) -> None:
        """Close the environment."""
        self._vector.close()


def environment_to_judge(suite: Suite, run: Run) -> EnvConfig:
    """The suite's environment, with the data where the run found it.

    Raises:
        InputError: the data is gone or has changed, or `judge_on` changes what the observations mean.
    """
    trained = environment_of(run)
    places = {key: getattr(trained, key) for key in LOCATIONS if getattr(trained, key, None) is not None}
    for key, place in places.items():
        if not Path(str(place)).exists():
            raise InputError(
                f"{run.path} was trained on env.{key}={place}, which does not exist here: put the data back, "
                f"or train with `env.{key}=` the place where it is"
            )
    env = suite.judged.model_copy(update=places)
    domain = envs.domain(env.name)
    before, now = run.info.get("data_fingerprints") or {}, domain.fingerprints(env)
    changed = [part for part in now if part in before and before[part] != now[part]]
    if suite.spec.judge_on:
        # preprocessing is fitted on `train`: with other training data, an observation means something else
        if "train" in changed:
            raise InputError(
                f"{suite.shown}: judge_on ({', '.join(suite.spec.judge_on)}) changes the training part, on which the "
                "observations' preprocessing is fitted: put it under env and judge runs that were trained so"
            )
    elif changed:
        raise InputError(
            f"the {changed[0]} part of the data is not what {run.path} was trained beside (its fingerprint differs): "
            "put the files back, or train again"
        )
    return env


def _refuse_foreign_code(suite: Suite, env: EnvConfig, trust: bool) -> None:
    if not trust and ":" in str(getattr(env, "id", "")):
        raise InputError(
            f"{suite.shown}: env.id={env.id!r} imports a module: "  # type: ignore[attr-defined]
            "add --trust if you trust where it comes from"
        )
