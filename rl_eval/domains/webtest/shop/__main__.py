"""`python -m rl_eval.domains.webtest.shop --port 8000 --defects D01,D07`: run the shop on loopback."""

from __future__ import annotations

import argparse
import sys

from rl_eval.domains.webtest.shop.branches import BranchRecord
from rl_eval.domains.webtest.shop.defects import DEFECTS
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.net import LOOPBACK, UVICORN, listening_socket
from rl_eval.net.embedded_service import announce, read_token


def main(arguments: list[str]) -> int:
    """Serve until Ctrl-C, or with `--embedded` until the parent process ends. Exit status 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m rl_eval.domains.webtest.shop",
        description="The embedded shop with seeded defects. docs/webtest-shop.md lists them.",
    )
    parser.add_argument("--host", default=LOOPBACK, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0: any free port (default: 8000)")
    parser.add_argument("--defects", default="", help=f"D01,D07: those to switch on, of {len(DEFECTS)} (default: none)")
    parser.add_argument("--branches", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--embedded", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    token = read_token() if options.embedded else None
    try:
        serve(options.host, options.port, [d for d in options.defects.split(",") if d], token, options.branches)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def serve(host: str, port: int, defects: list[str], token: str | None, branches: bool = False) -> None:
    """Listen and serve requests.

    Args:
        token: control token if another process started this one; the port is then the only line on stdout.
        branches: whether to record branch coverage.

    Raises:
        InputError: an unknown defect, or a port that is not free.
    """
    with imports_of_extra("browser", "the embedded shop"):
        import uvicorn

        from rl_eval.domains.webtest.shop.app import create_app
    app = create_app(defects, token, BranchRecord() if branches else None)
    listener = listening_socket(host, port)
    at = listener.getsockname()[1]
    if token is None:
        print(f"http://{host}:{at}  (Ctrl-C ends it)", flush=True)
    else:
        announce(at)
    uvicorn.Server(uvicorn.Config(app, **UVICORN)).run(sockets=[listener])


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
