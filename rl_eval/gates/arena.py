"""The held-out episodes of a suite, played by one policy after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import domains, policy, seeding
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.schema import Suite
from rl_eval.gates.tape import Tape
from rl_eval.rollout import Episodes, stream
from rl_eval.run import Run, environment_of

DEFAULT_FIXED = 100
DEFAULT_MOST = 400

# Called with the episodes played, their number, and by `label=` whose they are.
OnEpisodes = Callable[..., None]


@dataclass
class Arena:
    """One environment, ready to be played by any number of policies on the same episodes.

    Attributes:
        env: what is played.
        fixed: episodes for criteria by estimate.
        most: episodes that criteria by evidence may use.
        seeds: one an episode, or the indices of a finite test set.
    """

    suite: Suite
    env: EnvConfig
    trust: bool = False
    on_episodes: OnEpisodes | None = None
    fixed: int = field(init=False)
    most: int = field(init=False)
    seeds: list[int] = field(init=False)

    def __post_init__(self) -> None:
        _refuse_foreign_code(self.suite, self.env, self.trust)
        self._domain = domains.domain(self.env.name)
        asked = self.suite.spec.episodes
        self._limit = self._domain.episodes(self.env, "test")
        if self._limit is None:
            self.fixed, self.most = asked.fixed or DEFAULT_FIXED, asked.max or DEFAULT_MOST
            self.seeds = seeding.episode_seeds(self.suite.gate_seed, self._needed())
        else:
            self.fixed, self.most = (min(count or self._limit, self._limit) for count in (asked.fixed, asked.max))
            self.seeds = list(range(self._needed()))
        self._gone: np.ndarray | None = None  # cases that are left out
        # copies that nobody plays on; a reference and the policy beside it play at the same time
        self._idle = [self._make()]
        self._spaces = policy.Spaces.of(self.env, self._idle[0])
        self._references: dict[str, Tape | InputError] = {}

    def _needed(self) -> int:
        """Episodes that some criterion may use."""
        played = [c for c in self.suite.criteria if c.metric.kind in ("task", "run")]
        by_evidence = [c.metric.kind == "task" and c.spec.by == "evidence" for c in played]
        return max(self.most if any(by_evidence) else 0, 0 if all(by_evidence) else self.fixed)

    def leave_out(self, unit: str, gone: np.ndarray) -> None:
        """Judge without some of the held-out units, before anything is played.

        Args:
            unit: `case`, by the outcome that is the domain's `case_index`, or `episode`, in the order of the seeds.
            gone: bool, one a unit.

        Raises:
            InputError: no episode is left, or cases that are judged together cannot be taken away one by one.
        """
        if unit == "case":
            if self._domain.case_index is None:
                raise InputError(
                    f"{self.suite.shown}: leaks: drop leaves out single cases, and those of {self.env.name} are judged "
                    "together: say refuse or report"
                )
            self._gone = gone
            return
        left = np.flatnonzero(~gone)
        self.fixed, self.most = (int((left < count).sum()) for count in (self.fixed, self.most))
        self.seeds = [self.seeds[index] for index in left]
        if not min(self.fixed, self.most):
            raise InputError("no held-out episode is left to judge by: give another gate_seed")

    def what_is_played(self) -> tuple:
        """Equal where two arenas of one environment play the same units."""
        gone = None if self._gone is None else self._gone.tobytes()
        return tuple(self.seeds), self.fixed, self.most, gone, tuple(self._domain.fingerprints(self.env).items())

    def idle_copies(self) -> VectorEnv:
        """Copies that nobody plays on, to be reset."""
        if not self._idle:
            self._idle.append(self._make())
        return self._idle[-1]

    def tape(self, spec: str, label: str, episodes: int) -> Tape:
        """The first episodes, played by the policy that `spec` names as far as they are asked for.

        Raises:
            InputError: the policy cannot be loaded, or does not fit.
        """
        acting = policy.load(spec, self._spaces, self.env, seed=self.suite.gate_seed, trust=self.trust)
        return Tape(self._stream(acting, label, episodes))

    def reference(self, spec: str) -> Tape:
        """What a policy that others are compared with does on all episodes; played once, however many ask.

        Raises:
            InputError: as `tape`, each time.
        """
        if spec not in self._references:
            try:
                self._references[spec] = self.tape(spec, f"{self.suite.name}: {spec}", len(self.seeds))
            except InputError as error:
                self._references[spec] = error
        found = self._references[spec]
        if isinstance(found, InputError):
            raise found
        return found

    def _stream(self, acting: policy.Policy, label: str, episodes: int) -> Iterator[Episodes]:
        def played(done: int) -> None:
            if self.on_episodes:
                self.on_episodes(done, episodes, label=label)

        vector = self._idle.pop() if self._idle else self._make()
        try:
            for block in stream(
                vector,
                acting,
                seeds=self.seeds[:episodes],
                greedy=self.suite.spec.policy == "greedy",
                order=self.suite.gate_seed,
                on_episodes=played,
            ):
                if self._gone is None:
                    yield block
                else:
                    yield block.keep(~self._gone[block.outcome[str(self._domain.case_index)]])
        finally:
            self._idle.append(vector)

    def _make(self) -> VectorEnv:
        copies = min(len(self.seeds), self._domain.copies)
        return domains.make(self.env, n_envs=copies, part="test", autoreset=False)

    def units(self, unit: str) -> int | None:
        """How many cases or episodes evidence may use; None where that is not known beforehand."""
        if unit == "episode":
            return self.most
        cases, longest = self._cases(), self.longest
        return None if cases is None or longest is None else min(cases, self.most * longest)

    def population(self, unit: str) -> int | None:
        """The size of the set that evidence is about, where the suite asks about exactly this set."""
        if self.suite.spec.population == "source":
            return None
        return self._limit if unit == "episode" else self._cases()

    @property
    def longest(self) -> int | None:
        """The most cases in one episode."""
        return self._domain.longest_episode(self.env)

    def _cases(self) -> int | None:
        if not self._domain.has_cases:
            return None
        return self._domain.cases(self.env, "test") - (0 if self._gone is None else int(self._gone.sum()))

    def expand(self, spec: str) -> list[str]:
        """`constant:*` as every constant action (low, middle and high of a box); anything else as it is."""
        if spec != "constant:*":
            return [spec]
        action = self._spaces.action
        if isinstance(action, gym.spaces.Discrete):
            return [f"constant:{value}" for value in np.arange(action.n) + action.start]
        return ["constant:low", "constant:middle", "constant:high"]

    def close(self) -> None:
        """Stop whatever is still being played, and close the environments."""
        for reference in self._references.values():
            if isinstance(reference, Tape):
                reference.close()
        for vector in self._idle:
            vector.close()


def environment_to_judge(suite: Suite, run: Run) -> EnvConfig:
    """The suite's environment, with the data where the run found it.

    Raises:
        InputError: the data is gone or has changed, or `judge_on` changes what the observations mean.
    """
    trained = environment_of(run)
    keys = domains.domain(trained.name).location_keys
    places = {key: getattr(trained, key) for key in keys if getattr(trained, key) is not None}
    for key, place in places.items():
        if not str(place).startswith("rest:") and not Path(str(place)).exists():
            raise InputError(
                f"{run.path} was trained on env.{key}={place}, which does not exist here: put the data back, "
                f"or train with `env.{key}=` the place where it is"
            )
    env = domains.with_fitted_keys(suite.judged.model_copy(update=places), trained)
    domain = domains.domain(env.name)
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
    if not trust and (why := domains.needs_trust(env)):
        raise InputError(f"{suite.shown}: {why}: add --trust if you trust where it comes from")
