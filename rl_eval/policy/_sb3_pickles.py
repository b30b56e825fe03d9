"""Whether the pickles in a Stable-Baselines3 model name only code that installed versions identify.

Such a model is a zip: `data`, a JSON object whose values may hold a pickle in base64, and `*.pth`, archives of torch
with a pickle each. The statistics of a `VecNormalize` are one pickle.
"""

from __future__ import annotations

import base64
import contextlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rl_eval.policy._installed_code import is_elsewhere, is_installed
from rl_eval.policy._pickle_names import UnreadablePickleError, pickle_names
from rl_eval.untrusted_files import only_regular, read_bounded

MAX_BYTES = 64 << 20  # of one pickle, and of `data`
MAX_TENSOR_BYTES = 1 << 30  # of one archive of tensors
MAX_NAMES = 10_000
# What makes data, not code. Other modules of the standard library can run or read what no pickle names.
_DATA_MODULES = {"_codecs", "collections", "copyreg", "datetime", "decimal", "enum", "fractions", "pathlib", "uuid"}
_DATA_TYPES = {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range"}
_DATA_TYPES |= {"set", "slice", "str", "tuple"}
# These hold code as values, or load what is not scanned here.
_CODE_PACKAGES = {"cloudpickle", "dill", "joblib"}
_LOADERS = {"load", "loads", "_load_from_bytes", "import_module"}
_NO_CODE = ("_stable_baselines3_version", "system_info.txt")


def names_installed_code_alone(model: Path, statistics: Path | None) -> bool:
    """Whether each module that a model's pickles name is of an installed package, or is one of plain data.

    False as well for pickles that hold functions or classes as code (of the training script, such as a learning rate
    as a lambda), that name a file, or that cannot be scanned.
    """
    if not all(map(is_installed, ("stable_baselines3", "torch"))):  # they act, no matter what the pickles name
        return False
    try:
        names = [pickle_names(content) for content in _pickles(model, statistics)]
    except Exception:  # a damaged archive raises anything
        return False
    imported = {pair for each in names for pair in each.imported}
    texts = {text for each in names for text in each.texts}
    if len(texts) > MAX_NAMES:
        return False
    return all(_is_installed(*pair) for pair in imported) and not any(map(_names_own_code, texts))


def _is_installed(module: str, name: str) -> bool:
    """Whether what a pickle imports is of an installed package, and neither holds code nor loads more."""
    package = module.partition(".")[0]
    if module == "builtins":
        return name in _DATA_TYPES
    if package in sys.stdlib_module_names and package not in _DATA_MODULES:
        return False
    return package not in _CODE_PACKAGES and name.rpartition(".")[2] not in _LOADERS and is_installed(package)


def _names_own_code(text: str) -> bool:
    """Whether a text refers to a module that is not installed, as `my_module:Env` and `my_package.envs`, or to a file.

    A single word does not count: nothing imports it, and attributes are often called as modules are.
    """
    top_level, separator, _ = text.replace(":", ".").partition(".")
    if separator and top_level.isidentifier() and is_elsewhere(top_level):
        return True
    with contextlib.suppress(OSError, ValueError):
        return bool(text) and Path(text).is_file()
    return False


def _pickles(model: Path, statistics: Path | None) -> Iterator[bytes]:
    """Each pickle in a model and its statistics.

    Raises:
        OSError, zipfile.BadZipFile, …: it cannot be read.
        UnreadablePickleError: an entry that is none of those of a model, or too large a one.
    """
    with open(model, "rb", opener=only_regular) as file, zipfile.ZipFile(file) as archive:
        for entry in archive.infolist():
            if entry.filename == "data":
                with archive.open(entry) as opened:
                    values = json.loads(_bounded(opened))
                yield from (base64.b64decode(text, validate=True) for text in _serialized(values))
            elif entry.filename.endswith(".pth"):
                yield _pickle_of_tensors(archive, entry)
            elif entry.filename not in _NO_CODE:
                raise UnreadablePickleError(f"the entry {entry.filename}")
    if statistics is not None:
        yield read_bounded(statistics, MAX_BYTES)


def _pickle_of_tensors(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The pickle in an archive of torch, which Stable-Baselines3 loads with `weights_only`."""
    if entry.file_size > MAX_TENSOR_BYTES:
        raise UnreadablePickleError(f"{entry.filename} is larger than {MAX_TENSOR_BYTES >> 30} GiB")
    with archive.open(entry) as file, zipfile.ZipFile(file) as tensors:
        (name,) = (name for name in tensors.namelist() if name.endswith("/data.pkl"))
        with tensors.open(name) as opened:
            return _bounded(opened)


def _bounded(file: IO[bytes]) -> bytes:
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UnreadablePickleError(f"more than {MAX_BYTES >> 20} MiB")
    return content


def _serialized(values: object) -> Iterator[str]:
    """The pickles in base64, at any depth; Stable-Baselines3 itself loads those at the top."""
    if isinstance(values, dict):
        for key, value in values.items():
            if key == ":serialized:":
                yield str(value)
            else:
                yield from _serialized(value)
    elif isinstance(values, list):
        for value in values:
            yield from _serialized(value)
