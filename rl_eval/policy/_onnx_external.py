"""Weights of an ONNX file in other files of its folder, as torch's exporter writes them.

The location of such weights is a name without a folder: nothing outside of the folder is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError, failure
from rl_eval.extras import imports_of_extra
from rl_eval.untrusted_files import read_bounded

_KEY = b"location"  # of every tensor whose data is elsewhere


def external_files(file: Path, spec: str, max_bytes: int) -> list[Path]:
    """The files of weights that an ONNX file names, each once and in their order.

    Raises:
        InputError: a file outside of the folder, or one that is too large.
        OSError: it cannot be read.
    """
    try:
        content = read_bounded(file, max_bytes)
    except OverflowError as error:
        raise InputError(f"policy {spec!r}: {error}") from error
    model = _with_external_weights(content, spec)
    return [] if model is None else _files(model, file, spec)


def embedded(file: Path, content: bytes, spec: str, max_bytes: int) -> bytes:
    """The bytes of an ONNX file with all weights in it.

    Raises:
        InputError: weights outside of the folder, missing, or too large together.
    """
    model = _with_external_weights(content, spec)
    if model is None:
        return content
    contents, left = dict[str, bytes](), max_bytes - len(content)
    for other in _files(model, file, spec):
        try:
            contents[other.name] = read_bounded(other, left)
        except OverflowError:
            raise InputError(
                f"policy {spec!r}: {file} and its external weights are larger than {max_bytes >> 20} MiB, the limit"
            ) from None
        except OSError as error:
            raise InputError(
                f"policy {spec!r}: its weights {other} cannot be read ({failure(error)}): put the file that was "
                "exported with it next to it"
            ) from error
        left -= len(contents[other.name])
    for tensor in _external(model):
        described = {entry.key: entry.value for entry in tensor.external_data}
        weights = contents.get(described["location"], b"")  # an entry that is written twice may name another file
        try:
            begin, length = int(described.get("offset", 0)), int(described.get("length", len(weights)))
        except ValueError:
            begin, length = -1, -1
        if begin < 0 or length < 0 or begin + length > len(weights):
            raise InputError(
                f"policy {spec!r}: {described['location']} does not hold the weights {tensor.name[:100]!r}"
            )
        tensor.raw_data = weights[begin : begin + length]
        del tensor.external_data[:]
        tensor.data_location = 0  # in the tensor itself
    return model.SerializeToString()


def _with_external_weights(content: bytes, spec: str) -> Any | None:
    """The model, if it has weights in other files."""
    if _KEY not in content:
        return None
    with imports_of_extra("onnx", f"policy {spec!r}"):
        import onnx
    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # onnxruntime says what is wrong
        return None
    return model if any(True for _ in _external(model)) else None


def _files(model: Any, file: Path, spec: str) -> list[Path]:
    names = dict[str, None]()
    for tensor in _external(model):
        name = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
            raise InputError(
                f"policy {spec!r} has weights in {name[:100]!r}: they must be in the folder of {file.name}"
            )
        names[name] = None
    folder = file.parent.resolve()
    for name in names:
        if (folder / name).is_symlink() and (folder / name).resolve().parent != folder:
            raise InputError(f"policy {spec!r} has weights in {name!r}, a link out of the folder of {file.name}")
    return [file.parent / name for name in names]


def _external(message: Any) -> Iterator[Any]:
    """The tensors of a model, at any depth, whose data is elsewhere."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        if one.DESCRIPTOR.name == "TensorProto":
            if one.data_location == 1:
                yield one
            continue
        for field, value in one.ListFields():
            if field.message_type is not None:
                waiting += value if _is_repeated(value) else [value]


def _is_repeated(value: Any) -> bool:
    return not hasattr(value, "DESCRIPTOR")
