"""`rl-eval audit`: the log of what was decided, trained and rolled out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.formatting import quantity

audit = typer.Typer(help="The append-only log of trainings, verdicts, overrides and roll-outs.", no_args_is_help=True)
app.add_typer(audit, name="audit")


@audit.callback()
def _audit() -> None:
    pass


@audit.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An audit log.", show_default=False)],
    head: Annotated[
        str | None,
        typer.Option("--head", metavar="N:HASH", help="The head that you kept elsewhere.", show_default=False),
    ] = None,
) -> None:
    """Find lines of an audit log that were changed, removed, added or moved.

    \b
      rl-eval audit verify production/audit.jsonl
      rl-eval audit verify production/audit.jsonl --head 120:9f86d081...

    Every line contains the hash of the line before. The head, in a file next to it, has the number of lines.
    Someone who can write both files can also write a whole new log. So keep the head that this command prints
    in another place, and give it with --head.

    Exit status: 0 complete, 1 not, 2 bad input.
    """
    from rl_eval import terminal
    from rl_eval.production.audit import verify as check
    from rl_eval.production.audit.log import Head

    checked = check(file, None if head is None else Head.parse(head))
    for fault in checked.faults:
        terminal.print_line(f"{file}: {fault}")
    if checked.faults:
        raise typer.Exit(1)
    terminal.print_line(f"{file}: {quantity(checked.head.lines, 'line')}, complete; head {checked.head}")
