"""The service as a process of its own on loopback, and its control: which bugs it has, and starting afresh."""

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
from rl_eval.net import Client, Limits, RequestError, parse_base_url

START_S = 60.0
END_S = 5.0
TIMEOUT_S = 10.0


class NotStartedError(RuntimeError):
    """The service did not come up, and what it said."""


class Service:
    """A running service; made by `start`, ended by `close` or by leaving its `with` block.

    It ends with the process that started it, however that one ends: its standard input closes then.

    Attributes:
        base_url: `http://127.0.0.1:<port>`.
        token: for `Runner(base_url, truth_token=token)`; a secret of this process and the service's.
    """

    def __init__(self, process: subprocess.Popen[bytes], base_url: str, token: str, said: IO[bytes]):
        self.base_url, self.token = base_url, token
        self._process, self._said = process, said
        self._client = Client(parse_base_url(base_url), Limits(TIMEOUT_S))
        self._control = (("X-Control-Token", token),)

    def switch(self, bugs: Iterable[str]) -> None:
        """Have these bugs and no others from now on, and start afresh.

        Raises:
            InputError: a bug that is not there.
            RequestError: the service is gone.
        """
        body = json.dumps({"bugs": sorted(check_bug_ids(bugs))}).encode()
        self._do("PUT", "/_control/build", body)

    def reset(self) -> None:
        """Start afresh: users, products and orders are as they were at first.

        Raises:
            RequestError: the service is gone.
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
        """End it and wait until it is gone; more than once does nothing."""
        self._client.close()
        _end(self._process)
        self._said.close()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(bugs: Iterable[str] = (), patience_s: float = START_S) -> Service:
    """Start the service on a free port of 127.0.0.1 and wait until it listens.

    Args:
        patience_s: how long it may take to come up.

    Raises:
        InputError: a bug that is not there.
        NotStartedError: it did not come up, with what it said.
    """
    given = ",".join(sorted(check_bug_ids(bugs)))
    token = secrets.token_hex(16)
    root = str(Path(__file__).resolve().parents[4])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
    # A session of its own: Ctrl-C in a terminal ends whoever started it first, and the service with it.
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rl_eval.domains.qase.service", "--embedded", "--port", "0", "--bugs", given],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    try:
        port = _port(process, token, patience_s)
    except BaseException as error:
        _end(process)
        said.seek(0)
        words = said.read(1 << 16).decode("utf-8", "replace").strip()[-2000:]
        said.close()
        if isinstance(error, EOFError | TimeoutError | OSError | ValueError):
            raise NotStartedError(
                f"the service under test did not start ({error}): {words or 'it said nothing'}"
            ) from error
        raise
    return Service(process, f"http://127.0.0.1:{port}", token, said)


def _port(process: subprocess.Popen[bytes], token: str, patience_s: float) -> int:
    """Hand over the token, and read the port, which is the only line that comes back."""
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
            with contextlib.suppress(OSError):  # it is gone already, with what was still to be written
                pipe.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
