"""`rl-eval production`: the loop around a served policy."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.net import environment_token

production = typer.Typer(
    help="Learning in production: serve, collect, train, prove, roll out, watch.", no_args_is_help=True
)
app.add_typer(production, name="production")

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A production config, a YAML file.", show_default=False)]


@production.command()
def check(config: Config) -> None:
    """Check a production config, and print it with its defaults.

    \b
      rl-eval production check production.yaml

    If the registry has a champion, the features that the config names must be those of its observations. A config
    without a suite is valid, with a warning.

    Exit status: 0 valid, 2 not.
    """  # fmt: skip
    import yaml

    from rl_eval import terminal
    from rl_eval.production.config import load_config
    from rl_eval.production.loop.config_check import check_champion, check_config

    read = load_config(config)
    check_config(read)
    check_champion(read)
    if not read.proof.suites:
        terminal.print_line(
            "warning: proof.suites is empty, so candidates are proved on logged traffic only: name the suite of CI",
            stderr=True,
        )
    typer.echo(yaml.safe_dump(read.model_dump(), sort_keys=False).rstrip())


@production.command()
def serve(
    config: Config,
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="RUN|onnx:FILE", help="Serve this one, without a registry."),
    ] = None,
) -> None:
    """Serve champion and challenger over HTTP.

    \b
      rl-eval production serve production.yaml
      rl-eval production serve production.yaml --policy onnx:policy.onnx
      RL_EVAL_TOKEN=... RL_EVAL_PRIVACY_KEY=... rl-eval production serve production.yaml

    Every decision and reward is recorded. The roll-out says which units the challenger gets. Several servers may share
    store and queue; they need the same RL_EVAL_PRIVACY_KEY. A kill loses nothing that was acknowledged.

    Exit status: 0 ended by SIGTERM, 2 bad input, 130 ended by Ctrl-C.
    """  # fmt: skip
    from rl_eval import terminal
    from rl_eval.production.canary.opening import registry_of
    from rl_eval.production.config import load_config
    from rl_eval.production.server.one_policy import OnePolicy
    from rl_eval.production.server.serve import serve as run_server

    log_warnings()
    read = load_config(config)
    registry = registry_of(read) if policy is None else OnePolicy(policy)
    status = run_server(read, registry, token=environment_token(), show=lambda line: terminal.print_line(line))
    sys.stdout.flush()
    os._exit(status)  # taking down the interpreter takes longer than ending the server


@production.command()
def collect(config: Config) -> None:
    """Store decisions and rewards from the queue.

    \b
      rl-eval production collect production.yaml

    The quality filter refuses what does not fit. Any number of collectors may run; if one ends, another continues its
    work. If the store or the queue is away, it waits.

    Exit status: 0 ended by SIGTERM, 2 bad input, 130 ended by Ctrl-C.
    """  # fmt: skip
    import threading

    from rl_eval import terminal
    from rl_eval.production.collector import collect as run_collector
    from rl_eval.production.config import load_config

    log_warnings()
    stop, signals = threading.Event(), []

    def end(number: int, _: object) -> None:
        signals.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    run_collector(load_config(config), stop, lambda line: terminal.print_line(line))
    sys.stdout.flush()
    os._exit(130 if signals and signals[0] == signal.SIGINT else 0)  # as above


@production.command()
def erase(
    config: Config,
    unit: Annotated[str | None, typer.Argument(metavar="UNIT", help="As requests name it.", show_default=False)] = None,
    old: Annotated[
        bool, typer.Option("--old", help="Erase what is older than privacy.retention. Check the clock first.")
    ] = False,
) -> None:
    """Erase a unit, or all records that are too old.

    \b
      rl-eval production erase production.yaml UNIT
      rl-eval production erase production.yaml --old

    Records leave the store and the queue. A unit needs the key of the servers: RL_EVAL_PRIVACY_KEY, or privacy.key in
    the folder of the config. Later rewards of its decisions are refused. Collectors remove old records themselves, but
    not if the clock may be wrong. The audit log has a line of the start and one of the end.

    Exit status: 0 erased, 2 bad input, or the store or queue is away.
    """  # fmt: skip
    from rl_eval import terminal
    from rl_eval.production.config import load_config
    from rl_eval.production.forget import erase as erase_unit
    from rl_eval.production.forget import erase_old

    if (unit is None) is not old:
        raise InputError("erase takes a UNIT or --old: give one of them")
    if unit is None:
        count = erase_old(load_config(config), actor())
        terminal.print_line(f"erased {count:,} old decisions with all that followed them")
        return
    erased = erase_unit(load_config(config), unit, actor())
    if not erased.decisions and not erased.waiting:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(erased.before or 0.0))
        earlier = "" if erased.before is None else f"; it was erased before, at {moment} UTC"
        terminal.print_line(f"nothing is kept of this unit{earlier}")
        return
    terminal.print_line(
        f"erased {erased.decisions:,} decisions with all that followed them, and {erased.waiting:,} records that waited"
    )


def actor() -> str:
    """Who asks, for the audit log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        return "unknown"


def log_warnings() -> None:
    """Write warnings, errors and what is served to standard error, with the time."""
    import logging

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("rl_eval.production").setLevel(logging.INFO)
