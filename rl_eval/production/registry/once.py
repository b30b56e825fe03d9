"""The result of a training is registered once, no matter how often it is taken over."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rl_eval.production.registry.protocol import Lineage, Registry, Version

TRAINING = "training"  # in a lineage's verdict: the name of the training
LATEST = 200  # versions that are searched


def of_training(registry: Registry, training: str) -> Version | None:
    """The version that a training has registered; None where there is none among the latest.

    Args:
        training: `Training.name`.

    Raises:
        RegistryError: the registry is away or damaged.
    """
    for number in reversed(registry.versions()[-LATEST:]):
        version = registry.version(number)
        if version.lineage.verdict.get(TRAINING) == training:
            return version
    return None


def register_once(registry: Registry, training: str, source: Path, lineage: Lineage) -> Version:
    """The version of a training; it is registered where an earlier process has not done so.

    Its training's lease keeps two processes from doing this at once.

    Raises:
        RegistryError, InputError: as `Registry.register`.
    """
    if (version := of_training(registry, training)) is not None:
        return version
    verdict = {**lineage.verdict, TRAINING: training}
    return registry.register(source, dataclasses.replace(lineage, verdict=verdict))
