"""Named random streams: every consumer of randomness has a generator of its own.

A stream is a `numpy.random.SeedSequence` whose entropy is the run's seed and whose spawn key is a
hash of the stream's name. So adjacent run seeds share no stream, and a new consumer changes no
other.
"""

from __future__ import annotations

import hashlib

import numpy as np

# `init` draws the first weights, `replay` the experience of before that a training in production learns from again,
# `perturbation` what a suite does to observations; the rest are the consumers that design names.
STREAMS = ("train-env", "policy", "minibatch", "init", "select", "bootstrap", "replay", "perturbation")

# The parts of data as they enter seeds and hashes: these strings decide what is drawn, so they stay.
_PART_KEYS = {"train": "train", "validation": "select", "test": "gate"}


# The purposes of the episodes that a suite draws from its gate seed, by the part that it judges on.
_SUITE_PURPOSES = {"test": "gate", "validation": "gate-validation"}


def part_key(part: str) -> str:
    """The string that a part of the data (`train`, `validation`, `test`) has in seeds and hashes."""
    return _PART_KEYS[part]


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


def stream(seed: int, name: str) -> np.random.SeedSequence:
    """The seed sequence of one named consumer of the run with this seed."""
    if name not in STREAMS:
        raise ValueError(f"unknown random stream {name!r}; the streams are {', '.join(STREAMS)}")
    return np.random.SeedSequence(entropy=seed, spawn_key=(_key(name),))


def generator(seed: int, name: str) -> np.random.Generator:
    """A generator on the named stream of the run with this seed."""
    return np.random.Generator(np.random.PCG64(stream(seed, name)))


def gate_seed(suite: str, env: str) -> int:
    """The default gate seed of a suite: a hash of its name and environment, never of a run."""
    return int.from_bytes(hashlib.sha256(f"{suite}\0{env}".encode()).digest()[:4], "big")


def suite_episode_seeds(seed: int, count: int, part: str) -> list[int]:
    """The episodes that a suite plays on a part, `test` or `validation`, where they are drawn from its gate seed."""
    return episode_seeds(seed, count, _SUITE_PURPOSES[part])


def episode_seeds(seed: int, count: int, purpose: str = "gate", first: int = 0) -> list[int]:
    """One 31-bit environment seed per episode, from a stream keyed apart from every training stream."""
    key = _key(f"{purpose}-episodes")
    draws = np.random.SeedSequence(entropy=seed, spawn_key=(key,)).generate_state(first + count)
    return [int(value & 0x7FFFFFFF) for value in draws[first:]]
