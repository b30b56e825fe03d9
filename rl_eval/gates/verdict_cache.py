"""A cache of verdicts on disk, keyed by everything that a verdict depends on.

The identities of a suite's policies and references go into `others`. A policy whose identity does not cover all that
acts (`python:`, `http:`) must not be cached. An ERROR must not either: its cause may disappear.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rl_eval import __version__
from rl_eval.errors import InputError
from rl_eval.gates.verdict import DIRECTION_SIGNS, CriterionVerdict, SuiteVerdict
from rl_eval.run import Run, read_json, write_json
from rl_eval.untrusted_files import only_regular

FOLDER = Path("outputs/.gate-cache")
MAX_ENTRIES = 500
_RUN_FILES = ("run.json", "config.yaml", "metrics.csv", "preprocessing.json", "seen.npz")


def key(
    *,
    runs: Sequence[str],
    suite: str,
    gate_seed: int,
    data: Mapping[str, str],
    extra: Mapping[str, str] | None = None,
    version: str = __version__,
) -> str:
    """SHA-256 of everything a verdict depends on, in hexadecimal.

    Args:
        runs: `run_fingerprint` of each, in their order.
        suite: the text of its file.
        gate_seed: which by default follows from the file's name.
        data: part -> fingerprint, of the judged environment.
        others: any further choice or file that the verdict depends on, by name.
    """
    values = {
        "runs": list(runs),
        "suite": suite,
        "gate_seed": gate_seed,
        "data": dict(data),
        "others": dict(extra or {}),
        "version": version,
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode(errors="surrogatepass")).hexdigest()


def file_fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes; of a file that does not exist, the word `missing`.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    try:
        with open(path, "rb", opener=only_regular) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return "missing"


def run_fingerprint(run: Run) -> str:
    """SHA-256 of a run's path and of every file that a criterion may read."""
    snapshots = [file for snapshot in run.snapshots() for file in sorted(snapshot.iterdir()) if file.is_file()]
    files = [*(run.path / name for name in _RUN_FILES), *snapshots]
    digest = hashlib.sha256(str(run.path).encode(errors="surrogateescape"))
    for file in files:
        digest.update(f"\0{file.relative_to(run.path)}\0{file_fingerprint(file)}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def read(folder: Path, key: str) -> dict[str, Any] | None:
    """The verdict that was written under this key; None if there is none, or it is damaged."""
    try:
        values = read_json(folder / f"{key}.json")
        text = values.get("verdict")
        if values.get("key") != key or not isinstance(text, str) or values.get("sha256") != _digest(text):
            return None
        verdict = json.loads(text)
    except (InputError, ValueError, RecursionError):
        return None
    return verdict if isinstance(verdict, dict) else None


def read_verdict(folder: Path, key: str, items: Iterable[str]) -> SuiteVerdict | None:
    """The verdict on a suite, every field checked; None if there is none, or it is not one on exactly these items.

    Args:
        items: of the suite, in their order.
    """
    try:
        verdict = TypeAdapter(SuiteVerdict).validate_python(read(folder, key))
    except ValidationError:
        return None
    names = [criterion.criterion for criterion in verdict.criteria]
    complete = names == list(items) and bool(verdict.runs) and all(map(_is_consistent, verdict.criteria))
    return verdict if complete else None


def _is_consistent(criterion: CriterionVerdict) -> bool:
    """Whether a judged criterion says on which side of its threshold it passes; errors are never stored."""
    compared = criterion.estimate is not None and criterion.threshold is not None
    return criterion.decision != "ERROR" and (not compared or criterion.direction in DIRECTION_SIGNS)


def read_findings(folder: Path, key: str) -> list[str] | None:
    """Doctor's findings; None if there are none, or the entry is damaged."""
    findings = (read(folder, key) or {}).get("findings")
    return findings if isinstance(findings, list) and all(isinstance(text, str) for text in findings) else None


def write(folder: Path, key: str, verdict: Mapping[str, Any]) -> bool:
    """Store a verdict atomically; False if the folder cannot be written, which only costs time.

    Tuples come back as lists.
    """
    text = json.dumps(verdict)  # as one text: NaN stays NaN, and the hash covers exactly what is read
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{key}.json", {"key": key, "sha256": _digest(text), "verdict": text})
        _remove_oldest(folder)
    except OSError:
        return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _remove_oldest(folder: Path) -> None:
    entries = []
    for entry in os.scandir(folder):
        if entry.name.endswith(".json"):
            with contextlib.suppress(OSError):  # another process removed it just now
                entries.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(entries)[:-MAX_ENTRIES]:
        with contextlib.suppress(OSError):
            os.unlink(path)
