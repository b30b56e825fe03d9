"""`episodes:<file>`: what a policy did elsewhere. A suite judges it; nothing can play it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from rl_eval.errors import InputError
from rl_eval.formatting import short_path
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._source import Source


class EpisodesSource(Source):
    """Episodes that were played elsewhere, one row each: judged only with `--rl-run`."""

    prefix = "episodes"
    usage = "episodes:<file.csv|jsonl>"
    is_seeded = True
    files: ClassVar[Mapping[str, str]] = {".csv": "episodes:{file}", ".jsonl": "episodes:{file}"}

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """Never.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"policy {spec!r} cannot play, since its episodes were played elsewhere: name it with --rl-run"
        )

    def identity(self, rest: str) -> str | None:
        """Of the file's bytes."""
        return digest(self.prefix, Path(rest))

    def canonical(self, rest: str) -> str:
        """With the short path of the file."""
        return str(short_path(rest))
