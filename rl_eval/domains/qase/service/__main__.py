"""`python -m rl_eval.domains.qase.service --port 8000 --bugs B01,B07`: run the service on loopback."""

from __future__ import annotations

import argparse
import sys

from rl_eval.domains.qase.service.bugs import BUGS
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.net import LOOPBACK, UVICORN, listening_socket
from rl_eval.net.embedded_service import announce, read_token


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C, or with `--embedded` until the parent process ends. Exit status 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m rl_eval.domains.qase.service",
        description="A shop with seeded bugs to test. docs/reference/service-bugs.md lists them.",
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free port (default: 8000)")
    parser.add_argument("--bugs", default="", help=f"B01,B07: the bugs to switch on, of {len(BUGS)} (default: none)")
    parser.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    token = read_token() if options.embedded else None
    try:
        serve(options.host, options.port, [bug for bug in options.bugs.split(",") if bug], token)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def serve(host: str, port: int, bugs: list[str], token: str | None) -> None:
    """Listen and serve requests.

    Args:
        token: control token if another process started this one; the port is then the only line on stdout.

    Raises:
        InputError: an unknown bug, or a port that is not free.
    """
    with imports_of_extra("qase", "the embedded service"):
        import uvicorn

        from rl_eval.domains.qase.service.app import create_app

    app = create_app(bugs, token)
    listener = listening_socket(host, port)
    at = listener.getsockname()[1]
    if token is None:
        print(f"http://{host}:{at}  (routes: /docs; Ctrl-C ends it)", flush=True)
    else:
        announce(at)
    config = uvicorn.Config(app, **UVICORN)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
