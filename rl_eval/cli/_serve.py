"""`rl-eval serve`: a policy over HTTP."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.net import LOOPBACK, environment_token


@app.command()
def serve(
    policy: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|onnx:FILE", help="A run directory of train.py, or an ONNX file.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; any other one needs RL_EVAL_TOKEN.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option("--port", help="0: any free port.", min=0, max=65535)] = 8000,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Folder for decisions and checkpoints; default: outputs/serving/<policy>."),
    ] = None,
    update_after: Annotated[
        int | None,
        typer.Option(
            "--update-after",
            metavar="N",
            min=1,
            max=65_536,
            help="Transitions that /update needs; default: as many as in an iteration of training.",
        ),
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", metavar="N", min=1, help="Decisions to keep; the oldest are deleted.")
    ] = None,
    openapi: Annotated[bool, typer.Option("--openapi", help="Print the OpenAPI schema, and serve nothing.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Import plugins that the run names.")] = False,
) -> None:
    """Serve a policy over HTTP: actions for observations, a store of what followed, and learning from it.

    \b
      rl-eval serve outputs/<date>/<run>
      rl-eval serve onnx:policy.onnx --port 9000
      RL_EVAL_TOKEN=... rl-eval serve outputs/<date>/<run> --host 0.0.0.0
      rl-eval serve --openapi > openapi.json

    Only this machine can send requests, unless --host names another address; then every request needs the token.
    If a token is set, /update, /save and /load always need it. docs/serving.md describes the routes.

    Everything acknowledged is on disk, also after a kill; the same command continues from there.

    Exit status: 0 ended by SIGTERM, 2 bad input, 130 ended by Ctrl-C.
    """  # fmt: skip
    from rl_eval import serving, terminal
    from rl_eval.serving import openapi as schema

    if openapi:
        routes = None
        if policy is not None:
            from rl_eval.serving.source import load

            routes = load(policy, seed=0, trust=trust).routes()
        typer.echo(schema.text(schema.schema(routes)))
        return
    if policy is None:
        raise InputError("serve needs a policy: name a run directory, such as outputs/<date>/<run>, or onnx:<file>")
    status = serving.serve(
        policy,
        host=host,
        port=port,
        token=environment_token(),
        folder=folder,
        update_after=update_after,
        keep=keep,
        trust=trust,
        show=lambda line: terminal.print_line(line),
    )
    sys.stdout.flush()
    os._exit(status)  # taking down the interpreter takes longer than ending the server
