"""`rl-eval view`: a local page over all runs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.cli._list import OUTPUTS, Outputs
from rl_eval.net import LOOPBACK, environment_token
from rl_eval.view import serve


@app.command()
def view(
    outputs: Outputs = OUTPUTS,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any other one needs RL_EVAL_TOKEN.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option("--port", help="0: any free port.", min=0, max=65535)] = 8765,
) -> None:
    """Show all runs on a local page: a table, curves while training, comparisons, suites over time, the ledger.

    \b
      rl-eval view
      rl-eval view outputs --port 0
      RL_EVAL_TOKEN=... rl-eval view --host 0.0.0.0     # the browser asks for the token as a password

    The page reads the folder and changes nothing in it except its index of runs. docs/view.md describes it.

    Exit status: 0 ended by SIGTERM, 2 bad input, 130 ended by Ctrl-C.
    """  # fmt: skip
    from rl_eval import terminal

    with terminal.QuietProgress("reading runs", unit="runs") as progress:
        status = serve(
            outputs,
            host=host,
            port=port,
            token=environment_token(),
            show=lambda line: terminal.print_line(line),
            on_read=progress.update,
        )
    sys.stdout.flush()
    os._exit(status)  # taking down the interpreter takes longer than ending the server
