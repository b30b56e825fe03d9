"""`OnnxProcess`: a graph that runs in another process, limited in time and memory; see `_onnx_child`."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.policy import _onnx_child
from rl_eval.policy._onnx_child import Messages

LOAD_S = 60.0
CALL_S = 30.0
MAX_MEMORY = 2 << 30
MAX_OUTPUT_BYTES = 256 << 20


@dataclass(frozen=True)
class Tensor:
    """An input or output of a graph.

    Attributes:
        type: as onnxruntime writes it, such as `tensor(float)`.
        shape: a number, a name or None for each dimension.
    """

    name: str
    type: str
    shape: tuple[Any, ...]


class _Child:
    """The other process."""

    def __init__(self) -> None:
        own_end, child_end = socket.socketpair()
        with child_end:
            # A group of its own: Ctrl-C is for this process.
            self.process = subprocess.Popen(
                [sys.executable, "-P", _onnx_child.__file__, str(child_end.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # C++ reports there that it ran out of memory
                pass_fds=[child_end.fileno()],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                process_group=0,
            )
        self.messages = Messages(own_end)
        self.owner = os.getpid()
        self.usable = True  # for another graph
        self.messages.send({"path": sys.path, "memory": MAX_MEMORY})

    def end(self) -> None:
        self.usable = False
        if os.getpid() == self.owner:
            self.messages.close()
            self.process.kill()
            self.process.wait()


_children: weakref.WeakSet[_Child] = weakref.WeakSet()
_idle: list[_Child] = []  # at most one: a process takes a third of a second to start


def _usable_child() -> _Child:
    """The idle process where there is one, else a new one."""
    while _idle:
        child = _idle.pop()
        if child.owner == os.getpid() and child.process.poll() is None:
            return child
        child.end()
    if not _children:
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    child = _Child()
    _children.add(child)
    return child


def _release(child: _Child) -> None:
    """Keep a process for the next graph, or end it."""
    if child.usable and not _idle and child.owner == os.getpid():
        _idle.append(child)
    else:
        child.end()


def _end_all() -> None:
    for child in list(_children):
        child.end()


class OnnxProcess:
    """A graph in another process.

    Args:
        content: the bytes of the file.
        spec: names the policy in messages.
        metadata: the entry of the file's metadata that is read.

    Attributes:
        inputs, outputs: of the graph.
        metadata: the text of that entry; None if there is none.

    Raises:
        InputError: onnxruntime is not installed or cannot read the graph within the limits.
    """

    def __init__(self, content: bytes, spec: str, metadata: str):
        require_extra("onnx", f"policy {spec!r}", "onnxruntime")
        self._spec = spec
        self._failure: str | None = None
        self._child = _usable_child()
        weakref.finalize(self, _release, self._child).atexit = False
        request = {"do": "load", "limit_s": LOAD_S, "metadata": metadata}
        reply, _ = self._request(request, "cannot be read", content)
        self.inputs, self.outputs = ([Tensor(n, t, tuple(s)) for n, t, s in reply[k]] for k in ("inputs", "outputs"))
        self.metadata: str | None = reply["metadata"]

    def run(self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str], rows: int) -> list[np.ndarray]:
        """The outputs of those names for inputs by name, with `rows` rows in each call of the graph.

        Raises:
            InputError: the graph fails, or exceeds the limits.
        """
        # the widest numbers first: each array then begins at a multiple of its numbers' size
        ordered = sorted(inputs.items(), key=lambda item: -item[1].dtype.itemsize)
        described = [(name, array.dtype.str, array.shape) for name, array in ordered]
        request = {"do": "run", "limit_s": CALL_S, "inputs": described, "outputs": list(outputs), "rows": rows}
        contents = [np.ascontiguousarray(array).reshape(-1) for _, array in ordered]
        reply, content = self._request(request, "cannot be run", *contents)
        arrays, begin = [], 0
        for code, dimensions in reply["arrays"]:
            dtype, count = np.dtype(code), math.prod(dimensions)
            arrays.append(np.frombuffer(content, dtype, count, begin).reshape(dimensions))
            begin += count * dtype.itemsize
        return arrays

    def _request(self, message: dict[str, Any], doing: str, *contents: Any) -> tuple[dict[str, Any], bytearray]:
        if self._failure is not None:
            raise InputError(self._failure)
        try:
            self._child.messages.send(message, *contents)
            reply, received = self._child.messages.receive(MAX_OUTPUT_BYTES)
        except (EOFError, OSError):
            self._failure = f"policy {self._spec!r} {doing}: {self._death(message['limit_s'])}"
            raise InputError(self._failure) from None
        except ValueError:
            self._child.end()
            limit = f"it returned more than {MAX_OUTPUT_BYTES >> 20} MiB"
            self._failure = f"policy {self._spec!r} {doing}: {limit}"
            raise InputError(self._failure) from None
        except BaseException:  # Ctrl-C, in the middle of a message
            self._child.end()
            raise
        if "error" in reply:
            raise InputError(f"policy {self._spec!r} {doing}: {shortened(reply['error'])}")
        return reply, received

    def _death(self, limit_s: float) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.process.wait(5)
        status = self._child.process.returncode
        self._child.end()
        if status == -signal.SIGALRM:
            return f"it took more than {limit_s:g} s"
        how = f"by {signal.Signals(-status).name}" if status is not None and status < 0 else f"with status {status}"
        return f"its process ended {how}, as when it needs more than {MAX_MEMORY >> 30} GiB of memory"


def shortened(text: str) -> str:
    """A message of onnxruntime in one line of bounded length."""
    text = " ".join(text.split())
    return text if len(text) <= 200 else text[:197] + "..."
