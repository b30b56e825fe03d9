"""`OwnRandomness`: the global random numbers that a policy of other code draws, seeded by the judging code."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import mtrand


@dataclass(frozen=True)
class _Generator:
    read: Callable[[], Any]
    write: Callable[[Any], Any]
    seed: Callable[[int], Any]


class OwnRandomness:
    """A context where the global generators of `random`, numpy and torch are the policy's own.

    They go on where they were when the context was last left. The rest of the process draws what it would have drawn,
    except for a second normal number that numpy's old functions may keep between two calls. Generators that a policy
    makes without a seed are its own affair.

    Args:
        seed: of all of them, when the context is first entered.
    """

    def __init__(self, seed: int):
        self._seed = seed
        self._own: dict[str, Any] = {}
        self._others: dict[str, Any] = {}

    def __enter__(self) -> None:
        generators = _generators()
        self._others = {name: generator.read() for name, generator in generators.items()}
        for index, (name, generator) in enumerate(generators.items()):
            if name in self._own:
                generator.write(self._own[name])
            else:  # numpy and torch draw the same numbers from the same seed
                generator.seed(int(np.random.SeedSequence([self._seed, index]).generate_state(1)[0]))

    def __exit__(self, *exception: object) -> None:
        generators = _generators()
        self._own = {name: generators[name].read() for name in self._others}
        for name, state in self._others.items():
            generators[name].write(state)


def _generators() -> dict[str, _Generator]:
    """The global generators of the packages that are imported."""
    found = {
        "random": _Generator(random.getstate, random.setstate, random.seed),
        "numpy": _Generator(
            mtrand.get_bit_generator,  # exchanged as a whole: to copy a state takes 50 times as long
            mtrand.set_bit_generator,
            lambda seed: mtrand.set_bit_generator(np.random.MT19937(seed)),
        ),
    }
    generator = getattr(sys.modules.get("torch"), "default_generator", None)
    if generator is not None:
        found["torch"] = _Generator(generator.get_state, generator.set_state, generator.manual_seed)
    return found
