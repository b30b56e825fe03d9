"""The process of a service that a package brings along: started on loopback, controlled, ended with its parent.

- A domain calls `start_process(module, arguments)`; `EmbeddedProcess.control` sends requests to its control paths.
- The module reads its secret with `read_token()`, and calls `announce(port)` once it listens.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from rl_eval.net.address import parse_base_url
from rl_eval.net.client import Client, Limits, RequestError

CONTROL_HEADER = "X-Control-Token"
START_S = 60.0
END_S = 5.0
TIMEOUT_S = 10.0
LOOK_S = 1.0


class NotStartedError(RuntimeError):
    """The service did not start; the message has what it printed."""


class EmbeddedProcess:
    """A running service; ended by `close`, or at the end of its `with` block.

    It also ends when the process that started it ends in any way, because its standard input closes.

    Attributes:
        base_url: `http://127.0.0.1:<port>`.
        token: a secret shared by this process and the service.
    """

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, token: str, output: IO[bytes]):
        self.base_url, self.token = base_url, token
        self._process, self._output = process, output
        self._client = Client(parse_base_url(base_url), Limits(TIMEOUT_S))

    def control(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer to a request with the token.

        Raises:
            RequestError: the service has ended, or refuses.
        """
        response = self._client.request(method, path, ((CONTROL_HEADER, self.token),), body)
        if response.status not in (200, 204):
            raise RequestError(f"{method} {path}", f"the service answered with status {response.status}", "invalid")
        return response.content

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and wait for it; a second call does nothing."""
        self._client.close()
        _end(self._process)
        self._output.close()

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start_process(
    module: str, arguments: Sequence[str] = (), patience_s: float = START_S
) -> tuple[subprocess.Popen[bytes], str, str, IO[bytes]]:
    """Run a module with `--embedded --port 0` and wait until it listens.

    Args:
        module: dotted name of a package with a `__main__`.
        arguments: its further arguments.
        patience_s: time limit for the start.

    Returns:
        The arguments of `EmbeddedProcess`.

    Raises:
        NotStartedError: it did not start, with what it printed.
    """
    token = secrets.token_hex(16)
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process runs
    # A new session, so that Ctrl-C in a terminal ends the parent first, and the service with it.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, "--embedded", "--port", "0", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    try:
        port = _port(process, token, patience_s)
    except BaseException as error:
        _end(process)
        output.seek(0)
        error_text = output.read(1 << 16).decode("utf-8", "replace").strip()[-2000:]
        output.close()
        if isinstance(error, EOFError | TimeoutError | OSError | ValueError):
            raise NotStartedError(
                f"the service under test did not start ({error}): {error_text or 'it printed nothing'}"
            ) from error
        raise
    return process, f"http://127.0.0.1:{port}", token, output


def _port(process: subprocess.Popen[bytes], token: str, patience_s: float) -> int:
    """Send the token, and read the port, the only line of output."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{token}\n".encode())
    process.stdin.flush()
    line, until = b"", time.monotonic() + patience_s
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError(f"not within {patience_s:g} s")
        read = os.read(process.stdout.fileno(), 64)
        if not read:
            raise EOFError(f"exit status {process.wait()}")
        line += read
    process.stdout.close()
    return int(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(OSError):  # the process has already ended
                pipe.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# --- in the process of the service -----------------------------------------------------------------


def read_token() -> str:
    """The secret, the first line of standard input; the process ends if its parent has already ended."""
    read = b""
    # Unbuffered, since `announce` watches the same descriptor.
    with open(0, "rb", buffering=0, closefd=False) as stdin:
        while not read.endswith(b"\n"):
            byte = stdin.read(1)
            if not byte:
                raise SystemExit(0)
            read += byte
    return read.decode().strip()


def announce(port: int) -> None:
    """Print the port, and end this process when the parent process ends."""
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    print(port, flush=True)


def _watch(parent: int) -> None:
    """End with the parent process: stdin closes when it ends, also when it is killed."""
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], LOOK_S)
        if ready and not os.read(0, 1024):
            break
    os._exit(0)
