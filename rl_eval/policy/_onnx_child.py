"""The process where onnxruntime runs graphs of anyone, limited in time and memory, and its messages.

It is started as a script, and imports only the standard library before the other process has sent its
`sys.path`. A graph may loop without end or ask for any amount of memory; a timer of the kernel and a limit of the
address space end this process then, no matter what the graph does.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
from typing import Any

CHECK_S = 0.25  # how often it is checked that the other process lives
_CHUNK = 1 << 16


class Messages:
    """Messages over a Unix socket: JSON, and bytes whose number the JSON has as `size`."""

    def __init__(self, end: socket.socket):
        self._end = end
        self._rest = b""
        self._last_data, self._last_message = b"", dict[str, Any]()

    def send(self, message: dict[str, Any], *contents: Any) -> None:
        """Send a message with contents of any number of bytes.

        Raises:
            OSError: the other side is gone.
        """
        views = [memoryview(content).cast("B") for content in contents]
        size = sum(view.nbytes for view in views)
        data = json.dumps({**message, "size": size}).encode()
        head = len(data).to_bytes(4, "big") + data
        if size < _CHUNK:
            self._end.sendall(b"".join([head, *views]))
            return
        self._end.sendall(head)
        for view in views:
            self._end.sendall(view)

    def receive(self, max_size: int) -> tuple[dict[str, Any], bytearray]:
        """The next message, to be read only, and its bytes.

        Raises:
            EOFError, OSError: the other side is gone.
            ValueError: there are more bytes than `max_size`.
        """
        length = int.from_bytes(self._read(4), "big")
        if length > max_size:
            raise ValueError("too large")
        data = bytes(self._read(length))
        if data != self._last_data:  # most calls send the same message
            self._last_data, self._last_message = data, json.loads(data)
        if self._last_message["size"] > max_size:
            raise ValueError("too large")
        return self._last_message, self._read(self._last_message["size"])

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _read(self, size: int) -> bytearray:
        content = bytearray(self._rest[:size])
        self._rest = self._rest[size:]
        while len(content) < size:
            more = self._end.recv(max(_CHUNK, min(size - len(content), 1 << 22)))
            if not more:
                raise EOFError
            wanted = size - len(content)
            content += more[:wanted]
            self._rest = more[wanted:]
        return content


def _address_space() -> int:
    """The bytes of address space in use; 0 if the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:1000] or type(error).__name__


class _Graph:
    """A graph, loaded."""

    def __init__(self, content: bytearray):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # the exception says what failed, once
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # from bytes, which lets onnxruntime refuse a graph that refers to other files
        self._session = onnxruntime.InferenceSession(bytes(content), options, providers=["CPUExecutionProvider"])

    def description(self, metadata: str) -> dict[str, Any]:
        """Name, type and shape of each input and output, and one entry of the metadata."""
        tensors = {"inputs": self._session.get_inputs(), "outputs": self._session.get_outputs()}
        described = {kind: [(t.name, t.type, t.shape) for t in values] for kind, values in tensors.items()}
        return {**described, "metadata": self._session.get_modelmeta().custom_metadata_map.get(metadata)}

    def run(self, message: dict[str, Any], content: bytearray) -> list[Any]:
        """The outputs `message["outputs"]` for inputs of name, type and shape `message["inputs"]`.

        The graph is called with `message["rows"]` rows at a time, and the rows of its answers are put together.
        """
        import numpy as np

        inputs, begin = {}, 0
        for name, code, shape in message["inputs"]:
            dtype, count = np.dtype(code), math.prod(shape)
            inputs[name] = np.frombuffer(content, dtype, count, begin).reshape(shape)
            begin += count * dtype.itemsize
        rows = message["rows"]
        batches = range(0, max(map(len, inputs.values())), rows)
        answers = [
            self._session.run(message["outputs"], {name: array[i : i + rows] for name, array in inputs.items()})
            for i in batches
        ]
        for name, array in zip(message["outputs"], answers[0], strict=True):
            if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
                raise TypeError(f"the output {name} is not a tensor of numbers")
        if len(answers) == 1:
            return [np.ascontiguousarray(array) for array in answers[0]]
        # what has no row for each observation, such as a standard deviation for all, is the same in each answer
        return [
            np.concatenate(arrays) if arrays[0].shape[:1] == (rows,) else np.ascontiguousarray(arrays[0])
            for arrays in zip(*answers, strict=True)
        ]


def serve(messages: Messages) -> None:
    """Load and run graphs until the other process closes its end.

    Raises:
        EOFError, OSError: it has.
    """
    setup, _ = messages.receive(1 << 30)
    sys.path[:] = setup["path"]
    try:
        import onnxruntime  # noqa: F401 - before the limits, which count from here
    except ImportError as error:
        messages.send({"error": _line(error)})
        return
    limit = _address_space() + setup["memory"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    graph: _Graph | None = None
    while True:
        message, content = messages.receive(1 << 30)
        reply, arrays = dict[str, Any](), list[Any]()
        # Without a handler the signal ends the process.
        signal.setitimer(signal.ITIMER_REAL, message["limit_s"])
        try:
            if message["do"] == "load":
                graph = None
                graph = _Graph(content)
                reply = graph.description(message["metadata"])
            else:
                assert graph is not None
                arrays = graph.run(message, content)
                reply = {"arrays": [(array.dtype.str, array.shape) for array in arrays]}
        except Exception as error:  # onnxruntime has an exception class per status code
            reply, arrays = {"error": _line(error)}, []
        signal.setitimer(signal.ITIMER_REAL, 0)
        messages.send(reply, *(array.reshape(-1) for array in arrays))


def _watch(parent: int) -> None:
    """End this process when the other one has ended, even while a graph runs."""
    while os.getppid() == parent:
        time.sleep(CHECK_S)
    os._exit(0)


def main(descriptor: int, parent: int) -> None:
    """Serve process `parent` over an open socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the other process, which ends this one
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        serve(Messages(socket.socket(fileno=descriptor)))
    os._exit(0)  # faster than an orderly end of the interpreter


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
