"""Start the service as a process on loopback, and control it: switch bugs, reset, end."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from rl_eval.domains.qase.service.bugs import check_bug_ids
from rl_eval.extras import require_extra
from rl_eval.net import Client, Limits, RequestError, parse_base_url

START_S = 60.0
END_S = 5.0
TIMEOUT_S = 10.0


class NotStartedError(RuntimeError):
    """The service did not start; the message has what it printed."""


class Service:
    """A running service; made by `start`, ended by `close` or at the end of its `with` block.

    It also ends when the process that started it ends in any way, because its standard input closes.

    Attributes:
        base_url: `http://127.0.0.1:<port>`.
        token: for `Runner(base_url, truth_token=token)`; a secret shared by this process and the service.
    """

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, token: str, output: IO[bytes]):
        self.base_url, self.token = base_url, token
        self._process, self._output = process, output
        self._client = Client(parse_base_url(base_url), Limits(TIMEOUT_S))
        self._control = (("X-Control-Token", token),)

    def switch(self, bugs: Iterable[str]) -> None:
        """Switch to exactly these bugs, and reset.

        Raises:
            InputError: an unknown bug.
            RequestError: the service has ended.
        """
        body = json.dumps({"bugs": sorted(check_bug_ids(bugs))}).encode()
        self._do("PUT", "/_control/build", body)

    def reset(self) -> None:
        """Restore the initial users, products and orders.

        Raises:
            RequestError: the service has ended.
        """
        self._do("POST", "/_control/reset", None)

    def _do(self, method: str, path: str, body: bytes | None) -> None:
        status = self._client.request(method, path, self._control, body).status
        if status != 204:
            raise RequestError(f"{method} {path}", f"the service answered with status {status}", "invalid")

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process and wait for it; a second call does nothing."""
        self._client.close()
        _end(self._process)
        self._output.close()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(bugs: Iterable[str] = (), patience_s: float = START_S) -> Service:
    """Start the service on a free port of 127.0.0.1 and wait until it listens.

    Args:
        patience_s: time limit for the start.

    Raises:
        InputError: an unknown bug, or the packages of the service are missing.
        NotStartedError: it did not start, with what it printed.
    """
    require_extra("qase", "the embedded service", "fastapi", "uvicorn")
    bug_list = ",".join(sorted(check_bug_ids(bugs)))
    token = secrets.token_hex(16)
    root = str(Path(__file__).resolve().parents[4])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process runs
    # A new session, so that Ctrl-C in a terminal ends the parent first, and the service with it.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rl_eval.domains.qase.service", "--embedded", "--port", "0", "--bugs", bug_list],
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
    return Service(process, f"http://127.0.0.1:{port}", token, output)


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
