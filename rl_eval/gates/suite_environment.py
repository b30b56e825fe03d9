"""The environment of a suite: one policy after another plays the same episodes of the part that it judges on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import domains, policy, seeding
from rl_eval.domains import EnvConfig
from rl_eval.envs import RankingVector
from rl_eval.errors import TRUST_IT, InputError, failure
from rl_eval.gates.case_copies import CaseCopies, count_copies
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.episodes_elsewhere import can_be_split, request, stream_elsewhere
from rl_eval.gates.selection import BarePolicy
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import environment_of_policy, environment_to_judge, place_of, with_preprocessing_of
from rl_eval.launchers import Launcher
from rl_eval.policy import Perturbation
from rl_eval.rollout import EnvironmentFailure, Episodes, PolicyFailure, stream
from rl_eval.run import Run

DEFAULT_FIXED = 100
DEFAULT_MIN = 100
DEFAULT_MAX = 400

# Called with the episodes played, their number, and by `label=` whose they are.
OnEpisodes = Callable[..., None]


@dataclass
class SuiteEnvironment:
    """One environment, ready to be played by any number of policies on the same episodes.

    Attributes:
        config: what is played.
        workers: play episodes that are independent of each other; None: this process.
        fixed_episodes: episodes for criteria by estimate.
        min_episodes: episodes that criteria by evidence use at least.
        max_episodes: episodes that they may use.
        seeds: one per episode, or the indices of a finite test set.
    """

    suite: Suite
    config: EnvConfig
    trust: bool = False
    on_episodes: OnEpisodes | None = None
    workers: Launcher | None = None
    fixed_episodes: int = field(init=False)
    min_episodes: int = field(init=False)
    max_episodes: int = field(init=False)
    seeds: list[int] = field(init=False)

    def __post_init__(self) -> None:
        _refuse_foreign_code(self.suite, self.config, self.trust)
        self._domain = domains.domain(self.config.name)
        episodes = self.suite.spec.episodes
        self._limit = self._domain.episodes(self.config, self.suite.part)
        if self._limit is None:
            self.fixed_episodes, self.max_episodes = episodes.fixed or DEFAULT_FIXED, episodes.max or DEFAULT_MAX
            self.seeds = seeding.suite_episode_seeds(self.suite.gate_seed, self._needed(), self.suite.part)
        else:
            self.fixed_episodes = min(episodes.fixed or self._limit, self._limit)
            self.max_episodes = min(episodes.max or self._limit, self._limit)
            self.seeds = list(range(self._needed()))
        default_min = DEFAULT_MIN if self._limit is None else self._limit
        self.min_episodes = min(episodes.min or default_min, self.max_episodes)
        self._excluded_cases: np.ndarray | None = None
        self._failure: EnvironmentFailure | None = None  # nothing is played again after one
        # Copies that nobody plays on. A policy and its reference play at the same time.
        self._idle: list[tuple[EnvConfig, VectorEnv]] = []
        self._spaces = policy.Spaces.of(self.config, self.idle_copies())
        self._references: dict[tuple[str, Perturbation | None], EpisodeBuffer | InputError] = {}

    def _needed(self) -> int:
        """Episodes that some criterion may use."""
        played = [c for c in self.suite.criteria if c.metric.kind in ("task", "run")]
        by_evidence = [c.metric.kind == "task" and c.spec.by == "evidence" for c in played]
        return max(self.max_episodes if any(by_evidence) else 0, 0 if all(by_evidence) else self.fixed_episodes)

    def exclude(self, unit: str, excluded: np.ndarray) -> None:
        """Judge without some units of the test set, before anything is played.

        Args:
            unit: `case`, by the outcome that is the domain's `case_index`, or `episode`, in the order of the seeds.
            excluded: bool, one per unit.

        Raises:
            InputError: no episode is left, or cases that are judged together cannot be removed one by one.
        """
        if unit == "case":
            if self._domain.case_index is None:
                raise InputError(
                    f"{self.suite.label}: leaks: drop leaves out single cases, but those of {self.config.name} are "
                    "judged together: set refuse or report"
                )
            self._excluded_cases = excluded
            return
        remaining = np.flatnonzero(~excluded)
        self.fixed_episodes, self.min_episodes, self.max_episodes = (
            int((remaining < count).sum()) for count in (self.fixed_episodes, self.min_episodes, self.max_episodes)
        )
        self.seeds = [self.seeds[index] for index in remaining]
        if not min(self.fixed_episodes, self.max_episodes):
            raise InputError("no held-out episode is left to judge: set another gate_seed")

    @property
    def is_endless(self) -> bool:
        """Whether each seed makes an episode, rather than there being a finite set of them."""
        return self._limit is None

    @property
    def plays_whole_set(self) -> bool:
        """Whether the test set is finite and every episode of it may be played, so that `episodes.max` adds none."""
        most = self.suite.spec.episodes.max
        return self._limit is not None and (most is None or most >= self._limit)

    def played_units(self) -> tuple:
        """Equal where two environments of one config play the same units."""
        excluded = None if self._excluded_cases is None else self._excluded_cases.tobytes()
        fingerprints = tuple(self._domain.fingerprints(self.config).items())
        return tuple(self.seeds), self.fixed_episodes, self.max_episodes, excluded, fingerprints

    def idle_copies(self, config: EnvConfig | None = None) -> VectorEnv:
        """Copies that nobody plays on, to be reset: of this environment, or of a config with other observations."""
        config = config or self.config
        self._idle.append((config, self._take(config)))
        return self._idle[-1][1]

    def _take(self, config: EnvConfig) -> VectorEnv:
        for index, (made_from, vector) in enumerate(self._idle):
            if made_from == config:
                del self._idle[index]
                return vector
        return self._make(config)

    @property
    def copies(self) -> int:
        """How many episodes are played at the same time."""
        return min(len(self.seeds), self._domain.most_copies(self.config))

    @property
    def measured_facts(self) -> Sequence[str]:
        """Facts that differ where an episode is played again, since a clock measures them."""
        return self._domain.measured_facts(self.config)

    def play(
        self,
        spec: str,
        label: str,
        episodes: int,
        *,
        copies: int | None = None,
        seed: int | None = None,
        under: Perturbation | None = None,
    ) -> EpisodeBuffer:
        """The episode buffer of the policy `spec`; it plays episodes when they are needed.

        A policy that comes with a preprocessing gets the observations that it makes of the same cases.

        Args:
            copies: on how many copies, made only for this; None: on those that all policies take in turn.
            seed: of the policy's own draws; None: the suite's.
            under: what happens to the observations that the policy sees.

        Raises:
            InputError: the policy cannot be loaded, or does not fit, or cannot be perturbed so, or the environment
                failed before.
        """
        if self._failure is not None:
            raise self._failure
        config = with_preprocessing_of(self.suite, self.config, spec)
        spaces = self._spaces if config == self.config else policy.Spaces.of(config, self.idle_copies(config))
        seed = self.suite.gate_seed if seed is None else seed
        acting = policy.load(spec, spaces, config, seed=seed, trust=self.trust)
        if under is not None:
            if isinstance(self.idle_copies(config), RankingVector):
                raise InputError(f"under: {under.kind} is not possible if actions rank cases: remove it")
            acting = policy.PerturbedPolicy(acting, under, spaces, spec, self.suite.gate_seed)
            label = f"{label} under {under}"
        blocks = self._stream(acting, config, spec, label, episodes, copies, seed, split=under is None)
        return EpisodeBuffer(blocks)

    def reference(self, spec: str, under: Perturbation | None = None) -> EpisodeBuffer:
        """All episodes of a policy that others are compared with; played once for all criteria.

        Args:
            under: what happens to the observations that it sees.

        Raises:
            InputError: as `play`, each time.
        """
        key = spec, under
        if key not in self._references:
            try:
                self._references[key] = self.play(spec, f"{self.suite.name}: {spec}", len(self.seeds), under=under)
            except InputError as error:
                self._references[key] = error
        buffer = self._references[key]
        if isinstance(buffer, InputError):
            raise buffer
        return buffer

    def _stream(
        self,
        acting: policy.Policy,
        config: EnvConfig,
        spec: str,
        label: str,
        episodes: int,
        copies: int | None,
        seed: int,
        split: bool,
    ) -> Iterator[Episodes]:
        def report(done: int) -> None:
            if self.on_episodes:
                self.on_episodes(done, episodes, label=label)

        greedy = self.suite.spec.policy == "greedy"
        own = copies is not None
        vector = None
        try:
            if self.workers is not None and split and not own and can_be_split(spec, greedy):
                blocks = self._stream_elsewhere(self.workers, config, spec, episodes, seed, report)
            else:
                vector = self._make(self._domain.in_one_process(config), copies) if own else self._take(config)
                seeds, order = self.seeds[:episodes], self.suite.gate_seed
                blocks = stream(vector, acting, seeds=seeds, greedy=greedy, order=order, on_episodes=report)
            for block in blocks:
                if self._excluded_cases is None:
                    yield block
                else:
                    yield block.keep(~self._excluded_cases[block.outcome[str(self._domain.case_index)]])
        except PolicyFailure as error:
            raise InputError(f"{spec}: {error}") from error
        except EnvironmentFailure as error:
            self._failure = error
            raise
        finally:
            if own and vector is not None:
                vector.close()
            elif vector is not None:
                self._idle.append((config, vector))

    def _stream_elsewhere(
        self,
        workers: Launcher,
        config: EnvConfig,
        spec: str,
        episodes: int,
        seed: int,
        report: Callable[[int], None],
    ) -> Iterator[Episodes]:
        asked = request(
            spec,
            config,
            part=self.suite.part,
            seed=seed,
            order=self.suite.gate_seed,
            trust=self.trust,
            folder=self.suite.path.parent,
        )
        return stream_elsewhere(workers, asked, self.seeds[:episodes], copies=self.copies, on_episodes=report)

    def _make(self, config: EnvConfig, copies: int | None = None) -> VectorEnv:
        try:
            return domains.make(config, n_envs=copies or self.copies, part=self.suite.part, autoreset=False)
        except InputError:
            raise
        except (Exception, SystemExit) as error:  # foreign code raises anything
            raise InputError(f"the environment {self.config.name} cannot be made: {failure(error)}") from error

    def units(self, unit: str) -> int | None:
        """How many cases or episodes evidence may use; None if that is not known beforehand."""
        if unit == "episode":
            return self.max_episodes
        cases, longest = self._cases(), self.longest
        return None if cases is None or longest is None else min(cases, self.max_episodes * longest)

    def population(self, unit: str) -> int | None:
        """The size of the set that evidence is about, where the suite asks about exactly this set."""
        if self.suite.spec.population == "source":
            return None
        return self._limit if unit == "episode" else self._cases()

    def copies_of_cases(self) -> CaseCopies | None:
        """Which cases are exact copies of another; None if none is, or where the claim is about this set's rows."""
        if self.suite.spec.population == "set" or not self._domain.has_cases or self._domain.case_index is None:
            return None
        hashes = self._domain.case_hashes(self.config, self.suite.part)
        labels = self._domain.case_labels(self.config, self.suite.part)
        if labels is None:
            return None
        included = np.ones(len(hashes), bool) if self._excluded_cases is None else ~self._excluded_cases
        weigh = self.suite.spec.copies == "weigh"
        return count_copies(self._domain.case_index, hashes, labels, included, weigh=weigh)

    @property
    def longest(self) -> int | None:
        """The most cases in one episode."""
        return self._domain.longest_episode(self.config)

    def _cases(self) -> int | None:
        if not self._domain.has_cases:
            return None
        excluded = 0 if self._excluded_cases is None else int(self._excluded_cases.sum())
        return self._domain.cases(self.config, self.suite.part) - excluded

    def expand(self, spec: str) -> list[str]:
        """`constant:*` as every constant action (low, middle and high of what is not Discrete, none of spaces without
        numbers); anything else as it is."""
        if spec != "constant:*":
            return [spec]
        action = self._spaces.action
        if isinstance(action, gym.spaces.Discrete):
            return [f"constant:{value}" for value in np.arange(action.n) + action.start]
        return ["constant:low", "constant:middle", "constant:high"] if policy.has_points(action) else []

    @property
    def has_untrained(self) -> bool:
        """Whether a network without training can be made for its spaces."""
        return bool(self._spaces.observation.is_np_flattenable) and policy.has_points(self._spaces.action)

    def close(self) -> None:
        """Stop what is still being played, and close the environments."""
        for buffer in self._references.values():
            if isinstance(buffer, EpisodeBuffer):
                buffer.close()
        for _, vector in self._idle:
            with contextlib.suppress(Exception):  # of foreign code; what was to be judged is judged
                vector.close()


class SuiteEnvironments:
    """The environments of one suite: one for each place of data, so that runs on the same data share it."""

    def __init__(
        self, suite: Suite, trust: bool, on_episodes: OnEpisodes | None, workers: Launcher | None = None
    ) -> None:
        self._suite, self._trust, self._on_episodes, self._workers = suite, trust, on_episodes, workers
        self._environments: dict[str, SuiteEnvironment | InputError] = {}
        self._first_part: tuple[str | None, Run] | None = None  # fingerprint of what the first run plays

    def of(self, judged: Run | BarePolicy) -> SuiteEnvironment:
        """The environment of a run, or of a policy without one.

        Raises:
            InputError: the data does not exist or does not fit, or the environment cannot be made.
        """
        config = self._config(judged)
        key = config.model_dump_json()
        if key not in self._environments:
            try:
                self._environments[key] = SuiteEnvironment(
                    self._suite, config, self._trust, self._on_episodes, self._workers
                )
            except InputError as error:  # it is not made again
                self._environments[key] = error
        environment = self._environments[key]
        if isinstance(environment, InputError):
            raise environment
        return environment

    def _config(self, judged: Run | BarePolicy) -> EnvConfig:
        if not isinstance(judged, Run):
            return environment_of_policy(self._suite, judged.path)
        config = environment_to_judge(self._suite, judged)
        part = domains.domain(config.name).fingerprints(config).get(self._suite.part)
        first, run = self._first_part or (part, judged)
        self._first_part = (first, run)
        if part != first:
            raise InputError(
                f"{self._suite.label} names no data, and the {self._suite.part} parts of {run.path}{place_of(run)} and "
                f"{judged.path}{place_of(judged)} differ: name the data with --rl-data, or judge them one by one"
            )
        return config

    def __iter__(self) -> Iterator[SuiteEnvironment]:
        return (made for made in self._environments.values() if isinstance(made, SuiteEnvironment))

    def close(self) -> None:
        """Close them all."""
        for environment in self:
            environment.close()


def _refuse_foreign_code(suite: Suite, env: EnvConfig, trust: bool) -> None:
    if not trust and (why := domains.needs_trust(env)):
        raise InputError(f"{suite.label}: {why}: {TRUST_IT}")
