"""`rl-eval production pause|resume|abort|promote|pin`: a person's commands about the roll-out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_eval.cli._production import Config, actor, production

if TYPE_CHECKING:
    from rl_eval.production.states import Event

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is logged.", show_default=False)]


@production.command()
def pause(config: Config, reason: Reason) -> None:
    """Pause the roll-out; failures are still rolled back.

    \b
      rl-eval production pause production.yaml --reason 'a look at the complaints'

    Exit status: 0 done, 2 not possible now, or bad input.
    """
    _command(config, "pause", reason)


@production.command()
def resume(config: Config, reason: Reason) -> None:
    """Continue a paused roll-out, or end a pin.

    \b
      rl-eval production resume production.yaml --reason 'nothing wrong'

    Exit status: 0 done, 2 not possible now, or bad input.
    """
    _command(config, "resume", reason)


@production.command()
def abort(config: Config, reason: Reason) -> None:
    """End the roll-out: the champion gets all units.

    \b
      rl-eval production abort production.yaml --reason 'wrong data'

    It works without the store.

    Exit status: 0 done, 2 not possible now, or bad input.
    """
    _command(config, "abort", reason)


@production.command()
def promote(config: Config, reason: Reason) -> None:
    """Make the challenger the champion now, without waiting for evidence.

    \b
      rl-eval production promote production.yaml --reason 'hotfix'

    Exit status: 0 done, 2 not possible now, or bad input.
    """
    _command(config, "promote", reason)


@production.command()
def pin(
    config: Config,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Its number.", show_default=False)],
    reason: Reason,
) -> None:
    """Let one version serve until `resume`; no roll-out starts.

    \b
      rl-eval production pin production.yaml 3 --reason 'incident 12'

    Exit status: 0 done, 2 not possible now, or bad input.
    """
    _command(config, "pin", reason, version)


def _command(file: Path, event: Event, reason: str, version: int | None = None) -> None:
    from rl_eval import terminal
    from rl_eval.production.canary.opening import audit_of, controller_of
    from rl_eval.production.config import load_config

    config = load_config(file)
    with controller_of(config) as controller:
        row = controller.command(event, reason, actor(), version)
        aliases = controller.registry.aliases()
        unlogged = bool(controller.unlogged)
    names = ", ".join(f"{alias} is version {number}" for alias, number in sorted(aliases.items()))
    ended = f"; {row.outcome}" if event in ("abort", "promote") and row.outcome else ""
    if unlogged:
        terminal.print_error(f"{audit_of(config).path} cannot be written, so this was not logged: make it writable")
    terminal.print_line(f"the roll-out is {row.state}; {names or 'no alias is set'}{ended}")
