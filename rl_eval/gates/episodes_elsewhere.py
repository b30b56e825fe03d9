"""Episodes of a gate played by other processes, and consumed in the order of their seeds.

Who plays an episode changes nothing in it: a worker loads the same policy and makes the same environment, and both are
compared by their hashes with what this process has. Only policies whose actions follow only from their own episode are
played so; one that draws at random draws for all copies in turn, and is played here.
"""

from __future__ import annotations

import functools
import math
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from rl_eval import domains, policy
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.suite import JudgedPart
from rl_eval.launchers import Launcher, Task, WorkerLostError
from rl_eval.plugins import import_plugins, imported_plugins, search_also
from rl_eval.rollout import EnvironmentFailure, Episodes, PolicyFailure, play

CHUNKS_OF_SLOT = 8  # so that no worker waits long for the last one
TRIES = 20  # of a chunk whose worker is lost each time


def can_be_split(spec: str, greedy: bool) -> bool:
    """Whether each episode of a policy can be played apart from the others, with the same result to the bit."""
    return greedy and policy.acts_alone(spec)


def request(
    spec: str, config: EnvConfig, *, part: JudgedPart, seed: int, order: int, trust: bool, folder: Path
) -> dict[str, Any]:
    """What a worker needs to know in addition to the seeds, as JSON values.

    Args:
        seed: of the policy's own draws.
        order: for a finite test set, the seed of the permutation that the episodes walk through.
        folder: of the suite, where plugins may be. Those that this process has imported are imported by workers too.
    """
    return {
        "spec": spec,
        "identity": policy.identity(spec),
        "config": config.model_dump(mode="json"),
        "fingerprint": domains.domain(config.name).fingerprints(config).get(part),
        "part": part,
        "seed": seed,
        "order": order,
        "trust": trust,
        "plugins": imported_plugins(),
        "folder": str(folder),
    }


def stream_elsewhere(
    launcher: Launcher,
    asked: dict[str, Any],
    seeds: Sequence[int],
    *,
    copies: int,
    on_episodes: Callable[[int], None] | None = None,
) -> Iterator[Episodes]:
    """Play one episode per seed with the workers of a launcher; yields consecutive episodes in the order of the seeds.

    Chunks are asked for a little ahead of what is consumed. A chunk whose worker is lost is played again.

    Args:
        asked: from `request`.
        copies: the most that are worth stepping together.

    Raises:
        InputError: as `rl_eval.rollout.stream`; or a worker has another policy or other data, or none.
    """
    size = max(1, min(copies, math.ceil(len(seeds) / (CHUNKS_OF_SLOT * launcher.slots))))
    starts = range(0, len(seeds), size)
    tasks = [
        Task(
            "rl_eval.gates.episodes_elsewhere:play_chunk",
            {"asked": asked, "seeds": list(seeds[start : start + size]), "first": start},
            name=f"{asked['spec']}, episodes {start + 1} to {min(start + size, len(seeds))}",
        )
        for start in starts
    ]
    running: dict[int, Future[Episodes]] = {}
    try:
        for index in range(len(tasks)):
            for ahead in range(index, min(index + 2 * launcher.slots, len(tasks))):
                if ahead not in running:
                    running[ahead] = launcher.submit(tasks[ahead])
            block = _result(launcher, tasks[index], running[index])
            running[index].cancel()
            if on_episodes is not None:
                on_episodes(starts[index] + len(block))
            yield block
    finally:
        for future in running.values():
            future.cancel()


def _result(launcher: Launcher, task: Task, future: Future[Episodes]) -> Episodes:
    for _ in range(TRIES - 1):
        try:
            return future.result()
        except WorkerLostError:
            future = launcher.submit(task)
    return future.result()


def play_chunk(asked: dict[str, Any], seeds: list[int], first: int) -> Episodes:
    """In a worker: consecutive episodes; `first` is the position of the first one among all of the suite."""
    try:
        if asked["trust"]:
            search_also([str(Path(asked["folder"]).resolve())])
        import_plugins(asked["plugins"], Path(asked["folder"]))
        acting, vector = _player(_Request(asked), len(seeds))
        return play(vector, acting, seeds=seeds, order=asked["order"], first=first)
    except (PolicyFailure, EnvironmentFailure):
        raise
    except InputError as error:
        raise InputError(f"on the worker {socket.gethostname()}: {error}") from error


class _Request:
    """What was asked for, as a key of what is kept between calls."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self._key = repr(sorted(asked.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Request) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)


@functools.lru_cache(maxsize=4)  # a policy and what it is compared with, for full chunks and for the last one
def _player(wanted: _Request, copies: int) -> tuple[policy.Policy, VectorEnv]:
    asked = wanted.asked
    spec, part = asked["spec"], asked["part"]
    config = domains.validate(asked["config"])
    where = domains.domain(config.name)
    if where.fingerprints(config).get(part) != asked["fingerprint"]:
        raise InputError(
            f"the {part} part of {config.name} differs from the data where the gate runs: copy that data here"
        )
    if policy.identity(spec) != asked["identity"]:
        raise InputError(f"{spec} is missing, or is not the policy of the machine where the gate runs: copy it here")
    vector = domains.make(where.in_one_process(config), n_envs=copies, part=part, autoreset=False)
    spaces = policy.Spaces.of(config, vector)
    return policy.load(spec, spaces, config, seed=asked["seed"], trust=asked["trust"]), vector
