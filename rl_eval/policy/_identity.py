"""Policy identity: a hash of the bytes that act, the same for the verdict cache and the ledger."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.policy._load import names_policy

# The package itself holds these: their name and parameters say how they act.
BUILT_IN = ("random", "constant", "untrained", "baseline")


def identity(spec: str) -> str | None:
    """SHA-256 of what decides how a policy acts, equal for equal bytes wherever the files lie.

    - A run: `policy.safetensors` and `policy.json` of its judged snapshot.
    - `onnx:`: the file, since a graph that refers to other files is not loaded.
    - `sb3:`: the algorithm, the zip file and the VecNormalize file.
    - Built-in policies: their name and parameters.

    None for code (`python:`) and servers (`http:`), which can change without a trace, and for files that cannot
    be read.
    """
    kind, _, rest = spec.partition(":")
    try:
        if not names_policy(spec):
            return _digest("run", *_snapshot_files(spec))
        if kind == "onnx":
            return _digest("onnx", Path(rest))
        if kind == "sb3":
            algorithm, _, files = rest.partition(":")
            return _digest("sb3", algorithm.lower(), *(Path(file) for file in files.split("+")))
    except (InputError, OSError):
        return None
    return _digest(kind, rest) if kind in BUILT_IN else None


def _snapshot_files(run: str) -> tuple[Path, Path]:
    from rl_eval.run import read_run

    snapshot = read_run(run).judged_snapshot()
    return snapshot / "policy.safetensors", snapshot / "policy.json"


def _digest(*parts: str | Path) -> str:
    """SHA-256 over texts and the contents of files."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with open(part, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        else:
            digest.update(hashlib.sha256(part.encode(errors="surrogateescape")).digest())
    return digest.hexdigest()
