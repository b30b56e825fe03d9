"""Versions of the registry as policies that decide."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Protocol

from rl_eval.errors import InputError
from rl_eval.production.config import ProductionConfig
from rl_eval.production.privacy import Privacy
from rl_eval.serving import source as sources
from rl_eval.serving.source import Source


class Versions(Protocol):
    """What holds versions."""

    def load(self, number: int, target: Path) -> Any:
        """Copy the checked files of a version to a new folder."""


def load_policy(registry: Versions, number: int, target: Path, *, trust: bool) -> Source:
    """The policy of a version.

    Args:
        target: a new folder, which gets a copy of the version.
        trust: whether plugins of a run may be imported.

    Raises:
        InputError: the registry is away, or the version is damaged or cannot be served.
    """
    registry.load(number, target)
    return sources.load(_spec(target), seed=int(number) % (1 << 31), trust=trust)


def require_features(config: ProductionConfig, source: Source) -> None:
    """Compare the features that a config names with the observations of a policy.

    Raises:
        InputError: there are others.
    """
    size = math.prod(source.policy.spaces.observation.shape or ())
    Privacy(config.privacy, b"", config.quality.features, size)


def _spec(folder: Path) -> str:
    """What a copy of a version is served as: a run, or the one ONNX file in it."""
    files = sorted(folder.rglob("*.onnx"))
    if (folder / "run.json").exists():
        return str(folder)
    if len(files) == 1:
        return f"onnx:{files[0]}"
    raise InputError(f"a version holds neither a run nor one ONNX file, but {len(files)} of them: register another one")
