"""Test cases kept in Qase: ordered so that failures show early, from their record or by running them.

Importing this package is light; files, polars and FastAPI are touched only where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register, registry

from rl_eval.envs.qase.config import LEVELS, Config

if TYPE_CHECKING:
    import numpy as np

    from rl_eval.envs.qase.vector import QaseVector

__all__ = [
    "BASELINES", "LEVELS", "OUTCOME", "Config", "case_hashes", "case_observations", "fingerprints",
    "gate_cases", "gate_episodes", "longest_episode", "make", "preprocessing", "select_episodes", "select_metric",
]  # fmt: skip

OUTCOME = (
    "execution", "verdict", "level", "score", "security", "unseen", "failure_share", "pairs", "cycle_end", "apfd",
    "apfd_unseen", "apfdc", "napfd", "failures", "found", "time_ranked", "security_passed", "bugs", "bugs_found",
)  # fmt: skip

if "rl_eval/Qase-v0" not in registry:
    register(
        "rl_eval/Qase-v0",
        entry_point="rl_eval.envs.qase.single:QaseEnv",
        vector_entry_point="rl_eval.envs.qase.single:gym_vector",
    )


def make(config: Config, *, n_envs: int, part: str, autoreset: bool = True) -> QaseVector:
    """N test cycles side by side over one part of the record, or, live, of builds that are run.

    Raises:
        InputError: data that is missing or cannot be used, or a service that cannot be had.
    """
    from rl_eval.envs.qase.vector import QaseVector

    if config.mode == "live":
        from rl_eval.envs.qase.live.held_out import held_out
        from rl_eval.envs.qase.live.vector import LiveHeldOut, LiveTraining

        if part == "train":
            return LiveTraining(config, n_envs=n_envs, autoreset=autoreset)
        builds = held_out(config, part)
        if part == "gate":
            return LiveHeldOut(config, builds, n_envs=n_envs)
        # what came of running them whole is known: selection only orders it
        return QaseVector(config, n_envs=n_envs, part=part, autoreset=autoreset, record=builds.part)
    return QaseVector(config, n_envs=n_envs, part=part, autoreset=autoreset)


def _baseline(name: str) -> Callable[[Config], Any]:
    def build(config: Config) -> Any:
        from rl_eval.envs.qase import baselines

        return baselines.BASELINES[name](config)

    return build


BASELINES = {
    name: _baseline(name)
    for name in ("random", "as_listed", "failure_rate", "last_failed_first", "logistic_regression", "optimal")
}


def _part(config: Config, part: str) -> Any:
    if config.mode == "live":
        from rl_eval.envs.qase.live.held_out import held_out

        return held_out(config, part).part
    from rl_eval.envs.qase.cycles import load

    return load(config).parts[part]


def select_metric(config: Config) -> str:
    """APFD, by time where time is weighed."""
    return "apfdc" if config.timed else "apfd"


def gate_episodes(config: Config) -> int:
    """Judged cycles of the gate part."""
    return len(_part(config, "gate"))


def select_episodes(config: Config) -> int:
    """Judged cycles of the select part."""
    return len(_part(config, "select"))


def gate_cases(config: Config) -> int:
    """Executions in the cycles of the gate part."""
    return len(_part(config, "gate").verdict)


def longest_episode(config: Config) -> int:
    """The most cases in a cycle of the gate part; live, in any."""
    if config.mode == "live":
        from rl_eval.envs.qase.live.tested import runnable

        return len(runnable(config).project.cases)
    return int(_part(config, "gate").lengths.max())


def fingerprints(config: Config) -> dict[str, str]:
    """Part -> SHA-256 of its executions and cycles; live, of the cases and the schedule of builds."""
    if config.mode == "live":
        from rl_eval.envs.qase.live.tested import fingerprints as of_schedule

        return of_schedule(config)
    from rl_eval.envs.qase.cycles import load

    return {name: part.fingerprint() for name, part in load(config).parts.items()}


def case_hashes(config: Config, part: str) -> np.ndarray:
    """One hash an execution, uint64 `[R]`: the same case at the same time with the same verdict; for the guard.

    Live training has no set of executions to be told from: builds of each part come from a stream of their own.
    """
    if config.mode == "live" and part == "train":
        import numpy as np

        return np.empty(0, np.uint64)
    return _part(config, part).hashes


def case_observations(config: Config, part: str) -> np.ndarray:
    """The executions as a policy sees them, float32 `[R, 64]`, in the order of `case_hashes`."""
    if config.mode == "live" and part == "train":
        import numpy as np

        return np.empty((0, 64), np.float32)
    return _part(config, part).features


def preprocessing(config: Config) -> dict[str, Any]:
    """What the observations are and which of them say nothing, of plain JSON types, to be saved with a run.

    Live, which cases cannot be run, and why.
    """
    if config.mode == "live":
        from rl_eval.envs.qase.live.tested import told as of_cases

        return of_cases(config)
    from rl_eval.envs.qase.cycles import load
    from rl_eval.envs.qase.cycles import preprocessing as told

    return told(load(config))
