"""`TestSet`: the cases or episodes that a gate plays, as fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import domains
from rl_eval.domains import EnvConfig
from rl_eval.exposure import CaseObservations, fingerprint_cases, fingerprint_observations, observations_of_cases

MAX_COPIES = 32


@dataclass(frozen=True)
class TestSet:
    """G units of a test set.

    Attributes:
        unit: `case`, numbered as in the test part, or `episode`, in the order of the seeds.
        exact: `[G]` uint64 fingerprints of the cases or first observations.
        views: `[G, V]` uint64, further ones of what the policy sees; see `rl_eval.exposure`.
        seeds: `[G]` int64 for episodes; empty for cases.
        cases: the observations of cases, where `views` are of them.
        labels: `[G]` integers, the true answer of each case; None if there is none.
        environment: what decides, in addition to the seed, which episode is played; empty for cases.
    """

    __test__ = False  # pytest takes any class of this name for a test

    unit: Literal["case", "episode"]
    exact: np.ndarray = field(repr=False)
    views: np.ndarray = field(repr=False)
    seeds: np.ndarray = field(repr=False)
    cases: CaseObservations | None = field(default=None, repr=False)
    labels: np.ndarray | None = field(default=None, repr=False)
    environment: str = ""

    def __len__(self) -> int:
        return len(self.exact)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the distinct cases and their labels, in any order; of episodes, of the environment and the first.

        The same test set for every suite that plays it: copies and another order of rows and columns make no new one.
        Further episodes do not either: all seeds follow from the gate seed, so the first is the same for any number of
        them.
        """
        digest = hashlib.sha256(f"{self.unit}\0{self.environment}".encode(errors="surrogatepass"))
        for array in (self._distinct_cases(), self.seeds) if self.unit == "case" else (self.exact[:1], self.seeds[:1]):
            digest.update(np.ascontiguousarray(array).tobytes() + b"\0")
        return digest.hexdigest()

    def _distinct_cases(self) -> np.ndarray:
        """`[D, 2]` fingerprint and label of each, sorted."""
        labels = np.zeros(len(self)) if self.labels is None else self.labels
        return np.unique(np.column_stack([self.exact, labels.astype(np.int64).astype(np.uint64)]), axis=0)


def load_test_set(env: EnvConfig, seeds: Sequence[int], vector: VectorEnv | None = None) -> TestSet:
    """The test set of an environment; episodes are reset, and none is played.

    Args:
        seeds: one per episode; not used where the environment's data is a finite set of cases.
        vector: copies made with `autoreset=False` to reset instead of fresh ones.

    Raises:
        InputError: the environment or its data cannot be loaded.
    """
    domain = domains.domain(env.name)
    if domain.has_cases:
        cases, labels = observations_of_cases(env, "test"), domain.case_labels(env, "test")
        exact, views = fingerprint_cases(env, "test")
        return TestSet("case", exact, views, np.empty(0, np.int64), cases if cases.fields else None, labels)
    env = domain.in_one_process(env)  # a few hundred resets take less than starting a process
    copies = vector or domains.make(env, n_envs=max(1, min(MAX_COPIES, len(seeds))), part="test", autoreset=False)
    try:
        starts = [
            _first_observations(copies, seeds[i : i + copies.num_envs]) for i in range(0, len(seeds), copies.num_envs)
        ]
    finally:
        if vector is None:
            copies.close()
    exact, views = fingerprint_observations(np.concatenate(starts))
    environment = domain.episodes_identity(env)
    return TestSet("episode", exact, views, np.asarray(seeds, np.int64), environment=environment)


def _first_observations(vector: VectorEnv, seeds: Sequence[int]) -> np.ndarray:
    """`[K, ...]` for K seeds, no more than there are copies."""
    mask = np.arange(vector.num_envs) < len(seeds)
    padded = [int(seed) for seed in seeds] + [0] * (vector.num_envs - len(seeds))
    obs, _ = vector.reset(seed=padded, options={"reset_mask": mask})  # type: ignore[arg-type]
    return np.array(obs)[: len(seeds)]
