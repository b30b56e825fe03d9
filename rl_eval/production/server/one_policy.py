"""`OnePolicy`: a registry of one version, for a server that is used on its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.production.registry import CHAMPION


class OnePolicy:
    """A run directory or an ONNX file as version 1, the champion.

    Raises:
        InputError: it does not exist.
    """

    def __init__(self, spec: str):
        self._path = Path(spec.removeprefix("onnx:"))
        if not self._path.exists():
            raise InputError(f"{self._path} does not exist: name a run directory, or onnx:<file>")

    def aliases(self) -> Mapping[str, int]:
        """Version 1 is the champion."""
        return {CHAMPION: 1}

    def load(self, number: int, target: Path) -> None:
        """Copy it."""
        try:
            if self._path.is_dir():
                shutil.copytree(self._path, target, symlinks=True)
            else:
                target.mkdir(parents=True)
                shutil.copy(self._path, target / self._path.name)
        except (OSError, shutil.Error) as error:
            raise InputError(f"{self._path} cannot be copied ({error}): make room, or name another") from error
