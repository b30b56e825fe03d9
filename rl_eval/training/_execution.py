"""How a run is executed: back end, device and threads. They decide its bytes as much as its config does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gymnasium.vector import VectorEnv

from rl_eval.config import RunConfig, torch_device
from rl_eval.errors import InputError

_REMEDIES = {
    "backend": "install what is missing, or train a new run",
    "device": "use a machine that has it, or train a new run",
    "threads": "put hardware.threads in its config.yaml back",
    "ranks": "put hardware.ranks in its config.yaml back",
}


@dataclass(frozen=True)
class Execution:
    """Machine settings that decide a run's bytes in addition to its config.

    Attributes:
        backend: `gymnasium`, `envpool`, or `native` for an environment that steps its copies itself.
    """

    backend: str
    device: str
    threads: int
    ranks: int

    @classmethod
    def of_this_machine(cls, config: RunConfig, vector: VectorEnv) -> Execution:
        """How a config is executed on this machine, with these training environments."""
        backend = getattr(vector, "backend", "native")
        hardware = config.hardware
        return cls(backend, torch_device(hardware), hardware.threads, hardware.ranks)

    def require_same(self, before: Mapping[str, Any], run_directory: Path) -> None:
        """Refuse to resume or replay a run that was executed in another way.

        Raises:
            InputError: says what differs.
        """
        for key, value in vars(self).items():
            if _kind(before.get(key)) != _kind(value):
                raise InputError(
                    f"{run_directory} was trained with {key}={before.get(key)!r}, but here it would be {value!r}, "
                    f"which gives other numbers: {_REMEDIES[key]}"
                )


def _kind(value: Any) -> Any:
    """`cuda` of `cuda:1`: which of a machine's devices it is does not change a run's bytes, where they are equal."""
    return value.partition(":")[0] if isinstance(value, str) else value
