"""The process that steps copies for another one, and the channel between the two.

It is started as a script, and imports only the standard library before the other process has sent its
`sys.path`. It never imports torch.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

# How long to poll before sleeping. Waking a process takes 55 us, polling 5 us, and a policy needs some 200 us to
# choose the next actions; while an agent learns, the core is free.
SPIN_S = 1e-3
# How often a process that sleeps, or that is stuck in an environment, checks whether the other one still lives.
CHECK_S = 0.25


class Channel:
    """Messages between two processes, as JSON, over a Unix socket.

    Args:
        end: this process's end.
        check: called now and then while waiting; raises when the other side is gone.
    """

    def __init__(self, end: socket.socket, check: Callable[[], None] = lambda: None):
        self._end, self._check = end, check
        poll = select.poll()
        poll.register(end, select.POLLIN)
        self._poll = poll.poll
        self._last_data = b""
        self._last_message: dict[str, Any] = {}

    def send(self, message: bytes, descriptor: int | None = None) -> None:
        """Send a message from `encode`; `descriptor` is an open file to send with it.

        Raises:
            OSError: the other side is gone.
        """
        self._end.sendall(message)
        if descriptor is not None:
            socket.send_fds(self._end, [b"."], [descriptor])

    def receive(self) -> dict[str, Any]:
        """The next message, to be read only.

        Raises:
            EOFError, OSError: the other side is gone.
        """
        self._wait()
        # Never more than the message: what follows may carry an open file.
        data = self._read(int.from_bytes(self._read(4), "big"))
        if data != self._last_data:  # most steps send the same message
            self._last_data, self._last_message = data, json.loads(data)
        return self._last_message

    def receive_descriptor(self) -> int:
        """The open file that came with the last message."""
        _, (descriptor,), _, _ = socket.recv_fds(self._end, 1, 1)
        return descriptor

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _wait(self) -> None:
        until = time.perf_counter() + SPIN_S
        while not self._poll(0):
            # Where the other process shares this core, polling would keep it from answering.
            os.sched_yield()
            if time.perf_counter() > until:
                while not self._poll(CHECK_S * 1000):
                    self._check()
                return

    def _read(self, size: int) -> bytes:
        read = self._end.recv(size)
        while len(read) < size:
            more = self._end.recv(size - len(read))
            if not more:
                raise EOFError
            read += more
        return read


def encode(message: dict[str, Any]) -> bytes:
    """A message as bytes for the channel."""
    data = json.dumps(message).encode()
    return len(data).to_bytes(4, "big") + data


def _open(message: dict[str, Any], descriptor: int) -> Any:
    """Make the copies that a message describes, over the shared memory that came with it."""
    import gc
    import importlib
    import mmap

    sys.path[:] = message["path"]
    from gymnasium.envs.registration import EnvSpec

    from rl_eval.envs.copies import make_copies
    from rl_eval.envs.copy_arrays import ArrayLayout, CopyArrays
    from rl_eval.envs.copy_group import CopyGroup

    layout = ArrayLayout(**message["layout"])
    memory = mmap.mmap(descriptor, CopyArrays.size(layout))
    os.close(descriptor)
    if message["module"]:
        importlib.import_module(message["module"])
    copies = make_copies(EnvSpec.from_json(message["spec"]), message["kwargs"], message["count"], message["wrappers"])
    gc.freeze()  # modules and copies stay: collecting garbage among them took 3 % of a Box2D environment's steps
    return CopyGroup(copies, CopyArrays(layout, memory), message["first"], message["autoreset"])


def serve(channel: Channel) -> None:
    """Do what the other process requests, until it closes its end."""
    groups: dict[int, Any] = {}
    while True:
        try:
            message = channel.receive()
        except (EOFError, OSError):
            break
        number, do = message["group"], message["do"]
        reply = {"group": number}
        try:
            if do == "open":
                groups[number] = _open(message, channel.receive_descriptor())
            elif do == "reset":
                groups[number].reset(message["rows"], message["seeds"])
            elif do == "step":
                group = groups[number]
                group.step(group.arrays.actions(message["shape"], message["dtype"]))
            elif number in groups:
                groups.pop(number).close()
        except BaseException as error:  # SystemExit too: an environment may raise anything
            reply["error"] = traceback.format_exc()
            if type(error).__name__ == "InputError":
                reply["input_error"] = str(error)
        if do != "close":
            try:
                channel.send(encode(reply))
            except OSError:
                break
    for group in groups.values():
        group.close()


def _watch(parent: int) -> None:
    """End this process when the other one has ended, even while an environment hangs in its step."""
    while os.getppid() == parent:
        time.sleep(CHECK_S)
    os._exit(0)


def main(descriptor: int, parent: int) -> None:
    """Serve process `parent` over an open socket."""
    import faulthandler

    # The other process decides when to end: it may have an iteration to finish.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.enable()
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    serve(Channel(socket.socket(fileno=descriptor)))
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(0)  # faster than an orderly end of the interpreter


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
