"""The metadata of an exported ONNX file: which environment it is for, and how its observations are made.

The entry `rl_eval` is JSON. Its `preprocessing`, where the environment has one, holds the `preprocessing.json` of the
run as text in `json`, with the SHA-256 of that text in `sha256`. A longer text is next to the file, as
`<file>.preprocessing.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.envs.space_values import space_text
from rl_eval.errors import InputError, failure
from rl_eval.policy._onnx_process import shortened
from rl_eval.policy._policy import Spaces, action_space_json
from rl_eval.untrusted_files import only_regular

METADATA = "rl_eval"
MAX_EMBEDDED_BYTES = 256 << 10
MAX_PREPROCESSING_BYTES = 16 << 20


def preprocessing_file(file: Path) -> Path:
    """Where the preprocessing of an ONNX file is if it is too long for the metadata."""
    return file.with_name(f"{file.name}.preprocessing.json")


def describe_preprocessing(preprocessing: Mapping[str, Any]) -> tuple[dict[str, str], bytes | None]:
    """The value of `preprocessing` in the metadata, and the bytes of the file next to it; None: all is in the metadata.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(dict(preprocessing), allow_nan=False)
    content = text.encode()
    described = {"sha256": hashlib.sha256(content).hexdigest()}
    if len(content) > MAX_EMBEDDED_BYTES:
        return described, content
    return {**described, "json": text}, None


def read_preprocessing(entry: str | None, file: Path, spec: str) -> dict[str, Any] | None:
    """The preprocessing that an ONNX file names, unchecked; empty where an export names none, None for other files.

    Args:
        entry: the metadata.
        spec: names the policy in messages.

    Raises:
        InputError: it is missing, too large, damaged or another one.
    """
    if entry is None:
        return None
    try:
        described = json.loads(entry).get("preprocessing")
        if described is None:
            return {}
        digest, text = described["sha256"], described.get("json")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _unreadable(spec, error) from error
    where = preprocessing_file(file) if text is None else file
    content = _read_file(where, spec) if text is None else _encoded(text, spec)
    if len(content) > MAX_PREPROCESSING_BYTES:
        limit = f"{MAX_PREPROCESSING_BYTES >> 20} MiB"
        raise InputError(f"policy {spec!r}: the preprocessing in {where} is larger than {limit}: export the run again")
    if hashlib.sha256(content).hexdigest() != digest:
        raise InputError(
            f"policy {spec!r}: the preprocessing in {where} is not what was exported (its SHA-256 differs): put the "
            "exported one back, or export the run again"
        )
    try:
        preprocessing = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unreadable(spec, error) from error
    if not isinstance(preprocessing, dict):
        raise _unreadable(spec, TypeError("the preprocessing is not a mapping"))
    return preprocessing


def _encoded(text: Any, spec: str) -> bytes:
    if not isinstance(text, str):
        raise _unreadable(spec, TypeError("the preprocessing is not text"))
    return text.encode(errors="surrogatepass")


def _read_file(file: Path, spec: str) -> bytes:
    try:
        with open(file, "rb", opener=only_regular) as opened:
            return opened.read(MAX_PREPROCESSING_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"policy {spec!r}: its preprocessing {file} cannot be read ({failure(error)}): put it next to the ONNX "
            "file, or export the run again"
        ) from error


def check_metadata(entry: str | None, spec: str, spaces: Spaces) -> None:
    """Refuse an exported policy of another environment; without metadata only the shapes are checked.

    Raises:
        InputError: it is of another environment, or the metadata is damaged.
    """
    if entry is None:
        return
    try:
        meta = json.loads(entry)
        env, shape, action = dict(meta["env"]), tuple(meta["obs_shape"]), dict(meta["action_space"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _unreadable(spec, error) from error
    expected = {"name": spaces.env, "id": spaces.id}
    key = "id" if env.get("id") and spaces.id else "name"
    if env.get(key) != expected[key] or shape != spaces.observation.shape:
        raise InputError(
            f"policy {spec!r} is for {env.get(key)} with observations of shape {shape}, "
            f"not for {expected[key]} with {spaces.observation.shape}: name a policy of {expected[key]}"
        )
    if action != action_space_json(spaces.action):
        raise InputError(
            f"policy {spec!r} was exported for other actions ({shortened(json.dumps(action))}), but this "
            f"{expected[key]} takes {space_text(spaces.action)}: name a policy of the same env.kwargs"
        )


def _unreadable(spec: str, error: Exception) -> InputError:
    return InputError(f"policy {spec!r} has metadata that cannot be read ({shortened(str(error))}): export it again")
