"""`python -m rl_eval.domains.qase.service --port 8000 --bugs B01,B07`: the service by itself, on loopback."""

from __future__ import annotations

import argparse
import os
import select
import socket
import sys
import threading
from typing import BinaryIO

from rl_eval.domains.qase.service.bugs import BUGS
from rl_eval.errors import InputError

LOOK_S = 1.0
KEEP_ALIVE_S = 60


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C, or with `--embedded` until whoever started it is gone. Exit status 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m rl_eval.domains.qase.service",
        description="The embedded service under test: a shop with seeded bugs. docs/qase-service.md lists them.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one (default: 8000)")
    parser.add_argument("--bugs", default="", help=f"B01,B07: the bugs that it has, of {len(BUGS)} (default: none)")
    parser.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    token = None
    if given.embedded:
        # Read without buffering: the watch below looks at the same descriptor.
        with open(0, "rb", buffering=0, closefd=False) as stdin:
            token = _line(stdin)
    try:
        serve(given.host, given.port, [bug for bug in given.bugs.split(",") if bug], token)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def serve(host: str, port: int, bugs: list[str], token: str | None) -> None:
    """Listen and answer.

    Args:
        token: given where another process started this one; its port is then the only line on stdout.

    Raises:
        InputError: a bug that is not there, or a port that is not free.
    """
    import uvicorn

    from rl_eval.domains.qase.service.app import create_app

    app = create_app(bugs, token)
    # With the protocol named: asyncio turns Nagle's algorithm off only then, and 40 ms a request are lost with it on.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port} cannot be listened on ({error}): give another port") from error
    listener.listen(128)
    at = listener.getsockname()[1]
    if token is None:
        print(f"http://{host}:{at}  (routes: /docs; Ctrl-C ends it)", flush=True)
    else:
        threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
        print(at, flush=True)
    config = uvicorn.Config(
        app, lifespan="off", log_level="error", access_log=False, server_header=False, date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S, ws="none",
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])


def _line(stdin: BinaryIO) -> str:
    read = b""
    while not read.endswith(b"\n"):
        byte = stdin.read(1)
        if not byte:
            raise SystemExit(0)  # whoever started it is gone already
        read += byte
    return read.decode().strip()


def _watch(parent: int) -> None:
    """End when whoever started this is gone: its end of stdin closes, also when it was killed."""
    while os.getppid() == parent:
        ready, _, _ = select.select([0], [], [], LOOK_S)
        if ready and not os.read(0, 1024):
            break
    os._exit(0)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
