"""Two verdict files as a table on the terminal."""

from __future__ import annotations

import typer
from rich.console import Console

from rl_eval.compare.verdict_files import CriterionPair, VerdictComparison
from rl_eval.formatting import decision_text, number
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.run import as_json as json_text
from rl_eval.terminal import cell, console_for, labelled_line, new_table

_STYLES = {"WORSE": "bold red", "LOST": "bold red", "BETTER": "bold green", "WON": "bold green"}


def show_verdict_files(result: VerdictComparison, *, gate: bool, as_json: bool, console: Console | None = None) -> int:
    """Print a comparison; returns the exit status.

    Args:
        gate: whether the exit status is 1 when a criterion is worse or no longer passes.
        as_json: print JSON instead of a table.
    """
    if as_json:
        typer.echo(json_text(result.to_json()), nl=False)
        return int(gate and result.closes_gate)
    console = console or console_for()
    table = new_table()
    table.add_column("criterion", overflow="fold")
    for title in (result.before.name, result.after.name, "difference", "change"):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in result.pairs:
        texts = (pair.name, _text(pair.before), _text(pair.after), _difference(pair))
        row = [cell(text, console.options) for text in texts]
        table.add_row(*row, cell(pair.change, console.options, _STYLES.get(pair.change, "")))
    console.print(table)
    for note in result.notes:
        console.print(cell(f"note: {note}", console.options, "dim"), soft_wrap=True)
    if gate:
        worse = [pair.name for pair in result.pairs if pair.change in ("WORSE", "LOST")]
        sentence = f"closed by {', '.join(worse)}" if worse else "open: no criterion is shown to be worse or is lost"
        console.print(labelled_line("gate:", sentence, console.options, "bold"), soft_wrap=True)
    return int(gate and result.closes_gate)


def _text(row: CriterionVerdict | None) -> str:
    if row is None:
        return "-"
    estimate = "" if row.estimate is None else f"{number(row.estimate, distinct_from=row.threshold)} "
    return f"{estimate}{decision_text(row.decision)}"


def _difference(pair: CriterionPair) -> str:
    if pair.difference is None:
        return ""
    return f"{number(pair.difference.estimate)} in {number(pair.difference.low, 3)}..{number(pair.difference.high, 3)}"
