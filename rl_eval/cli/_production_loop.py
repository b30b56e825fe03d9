"""`rl-eval production register|run|watch`: a first champion, the control loop, and what operators see."""

from __future__ import annotations

import functools
import signal
import threading
from pathlib import Path
from typing import Annotated, Literal

import typer

from rl_eval.checkout import checkout
from rl_eval.cli._production import Config, actor, log_warnings, production
from rl_eval.net import LOOPBACK, environment_token


@production.command()
def register(
    config: Config,
    what: Annotated[
        str, typer.Argument(metavar="RUN|VERSION", help="A run directory, or a version's number.", show_default=False)
    ],
    alias: Annotated[
        Literal["champion", "challenger"] | None,
        typer.Option("--as", help="Default: champion if there is none, else challenger if there is none."),
    ] = None,
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="Why; it is logged. A VERSION needs one.", show_default=False),
    ] = "",
) -> None:
    """Register a run as champion or challenger.

    \b
      rl-eval production register production.yaml outputs/<date>/<run>
      rl-eval production register production.yaml 4 --reason 'the proof had too little data'

    The second form rolls out a version that its proof held back. A champion that serves is only replaced by a roll-out
    or by `promote`.

    Exit status: 0 registered, 2 bad input, or the registry is away.
    """  # fmt: skip
    from rl_eval import terminal
    from rl_eval.production.config import load_config
    from rl_eval.production.loop.versions import register as register_policy
    from rl_eval.production.parts import open_parts

    with open_parts(load_config(config), create=False, with_queue=False) as parts:
        version, given = register_policy(parts, what, actor(), alias, reason)
    name = f"version {version.number}, policy {version.lineage.policy}"
    alias_text = f"the {given}" if given else "without an alias, since there is a challenger"
    registered_before = what == str(version.number)
    terminal.print_line(f"{name}, is {alias_text}" if registered_before else f"{what} is {name}, and is {alias_text}")


@production.command()
def run(
    config: Config,
    learn_only: Annotated[
        bool, typer.Option("--learn-only", help="Leave collecting to `rl-eval production collect`.")
    ] = False,
    turns: Annotated[
        int | None, typer.Option("--turns", min=1, help="End after this number of turns.", show_default=False)
    ] = None,
) -> None:
    """Run the control loop until a signal comes.

    \b
      rl-eval production run production.yaml
      rl-eval production run production.yaml --learn-only

    It collects, trains, proves, registers and rolls out. Any number of loops may run; one trains at a time. If one is
    killed, another continues from the store, the registry and the audit log. A failure is one line, and the other
    phases continue.

    Exit status: 0 ended by SIGTERM or after --turns, 2 bad input, 130 ended by Ctrl-C.
    """  # fmt: skip
    from rl_eval import terminal
    from rl_eval.production.config import load_config
    from rl_eval.production.loop.process import run_loop

    log_warnings()
    stop, signals = threading.Event(), []

    def end(number: int, _: object) -> None:
        signals.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    run_loop(
        load_config(config), stop, collects=not learn_only, turns=turns, say=lambda line: terminal.print_line(line)
    )
    if signals and signals[0] == signal.SIGINT:
        raise typer.Exit(130)


@production.command()
def watch(
    config: Config,
    host: Annotated[str, typer.Option("--host", help="An address other than loopback needs RL_EVAL_TOKEN.")] = LOOPBACK,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free one.")] = 8001,
) -> None:
    """Serve the status page, human review and metrics.

    \b
      rl-eval production watch production.yaml

    `/` is the status page, `/review` the queue of human review, `/metrics` for Prometheus.

    Exit status: 0 ended by SIGTERM, 2 bad input, 130 ended by Ctrl-C.
    """  # fmt: skip
    from rl_eval import terminal
    from rl_eval.production.config import load_config
    from rl_eval.production.watch.serve import serve_watch

    log_warnings()
    read = load_config(config)
    status = serve_watch(
        read, host=host, port=port, token=environment_token(), show=lambda line: terminal.print_line(line)
    )
    raise typer.Exit(status)


@production.command()
def demo(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="Another config of the demo.", show_default="deploy/examples/demo.yaml"),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="A new one; default: production-demo/<time>."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Default: that of the config.", show_default=False)
    ] = None,
) -> None:
    """Play the whole loop once on this machine.

    \b
      rl-eval production demo

    Traffic is served and collected, and drifts. A candidate is trained, proved and rolled out. A bad one is rolled
    back. Decisions that the policy is unsure of go to a person. It ends with a page of what happened.
    The same seed gives the same demo. It needs a checkout.

    Exit status: 0 it went as it should, 2 it did not, or bad input.
    """
    from rl_eval import terminal
    from rl_eval.hydra_compose import compose
    from rl_eval.production.demo.start import start_demo

    root = checkout("rl-eval production demo")
    file = config or root / "deploy" / "examples" / "demo.yaml"
    page = start_demo(
        file, folder, lambda line: terminal.print_line(line), functools.partial(compose, root / "conf"), seed
    )
    terminal.print_line(f"page: {page}")
    terminal.print_line(f"status page: rl-eval production watch {page.with_name('production.yaml')}")
