"""`rl-eval score`: the decisions of a run's policy on rows of new data."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.formatting import number, percent, quantity, spreadsheet_text

if TYPE_CHECKING:
    from rl_eval.scoring import ScoredChunk

NOTED_SHARE = 0.05  # of the rows, above which a column is noted
NOTED_COLUMNS = 5
_DECISION = ("action", "probability", "expected_cost")
_REASONS = ("why_1", "change_1", "why_2", "change_2", "why_3", "change_3")


@app.command()
def score(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|-",
            help="CSV, Parquet or another format that the domain reads; - is stdin.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The file to write; default: stdout.", show_default=False),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="COLUMN", help="Copy this column of the data to the result; may be repeated."),
    ] = None,
    why: Annotated[bool, typer.Option("--why", help="Name the three columns that matter most in each row.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Import plugins that the run names.")] = False,
) -> None:
    """Decide on each row of new data with the policy of a run, and write the decisions as CSV.

    \b
      rl-eval score outputs/<date>/<run> flows.csv --keep id > decisions.csv
      zcat flows.csv.gz | rl-eval score outputs/<date>/<run> -
      rl-eval score outputs/<date>/<run> flows.parquet --why --out decisions.csv

    The data needs a header and the columns that the run was trained on, in any order, but no label. The
    preprocessing of the run is applied. Each row of the result has

    \b
      line           line or row of the data, from 1
      action         the most likely action of the policy
      probability    probability of that action; empty if the policy has none, like DQN's
      expected_cost  expected cost of that action, from how often the policy is right on the validation part of
                     the run when it decides so; empty, with a note, if that data cannot be read
      why_1 … why_3  with --why: the columns that matter most, and how much their values change the probability
                     in comparison with the median or most frequent value of the training part

    A note names the columns where more than 5 % of the rows have values unlike those of training.

    Rows are read and written a few thousand at a time, so data of any length needs the same memory. If a row is
    faulty, the rows before it have already been written to stdout; --out then leaves no file.

    Exit status: 0 done, 2 bad input.
    """
    from rl_eval import terminal
    from rl_eval.scoring import scorer

    kept = list(dict.fromkeys(keep or ()))
    header = ["line", *kept, *_DECISION, *(_REASONS if why else ())]
    if taken := [name for name in kept if name in ("line", *_DECISION, *_REASONS)]:
        raise InputError(f"--keep {taken[0]}: the result has a column of that name: rename yours in the data")
    if out is not None and out.resolve() == file.resolve():
        raise InputError(f"--out {out} would overwrite the data: name another file")
    rows = scorer(run, why=why, trust=trust)
    counts: dict[str, int] = {}
    unknown: Counter[str] = Counter()
    costs = 0.0
    with _output(out) as write:
        head = _csv([header])  # written with the first rows, so that data without the columns gives none
        for chunk in rows.score(sys.stdin.buffer if str(file) == "-" else file, keep=kept):
            names = [rows.action_names[a] if rows.action_names else str(a) for a in chunk.actions.tolist()]
            for name in names:
                counts[name] = counts.get(name, 0) + 1
            unknown.update(chunk.unknown)
            costs += 0.0 if chunk.expected_cost is None else float(chunk.expected_cost.sum())
            write(head + _csv(_rows(chunk, names, why)))
            head = b""
        write(head)
    total = sum(counts.values())
    shares = ", ".join(f"{name} {percent(count / total)}" for name, count in sorted(counts.items()))
    mean = f"; expected cost {number(costs / total)} per row" if total and rows.cost_unknown is None else ""
    terminal.print_line(f"{quantity(total, 'row')} scored{': ' if shares else ''}{shares}{mean}", stderr=True)
    if note := _unknown_note(unknown, total):
        terminal.print_line(note, stderr=True)
    if rows.cost_unknown is not None:
        terminal.print_line(f"expected_cost is empty: {rows.cost_unknown}", stderr=True)
    elif rows.cost_note is not None:
        terminal.print_line(rows.cost_note, stderr=True)


def _unknown_note(unknown: Counter[str], total: int) -> str:
    """The columns where much of the data is not like that of training; empty if there are none."""
    named = [(name, count) for name, count in unknown.most_common() if count > NOTED_SHARE * total]
    if not named:
        return ""
    shown = ", ".join(f"{name} in {percent(count / total)} of the rows" for name, count in named[:NOTED_COLUMNS])
    more = f" and {len(named) - NOTED_COLUMNS} more columns" if len(named) > NOTED_COLUMNS else ""
    return (
        f"unlike the data of training: {shown}{more} (categories that training did not have, or numbers five standard "
        "deviations away): there the policy guesses; train on data like this"
    )


def _rows(chunk: ScoredChunk, names: Sequence[str], why: bool) -> Iterator[list[Any]]:
    for i, position in enumerate(chunk.position):
        row = [position, *(_cell(texts[i]) for texts in chunk.kept.values()), names[i]]
        row += ["" if values is None else f"{values[i]:.6g}" for values in (chunk.probability, chunk.expected_cost)]
        if why:
            pairs = [cell for name, change in chunk.reasons[i] for cell in (_cell(name), f"{change:.6g}")]
            row += pairs + [""] * (len(_REASONS) - len(pairs))
        yield row


def _cell(text: str) -> str:
    """A text of the data that no spreadsheet runs; numbers stay as they are."""
    try:
        float(text)
    except ValueError:
        return spreadsheet_text(text)
    return text


def _csv(rows: Any) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue().encode()


@contextlib.contextmanager
def _output(out: Path | None) -> Iterator[Callable[[bytes], Any]]:
    """A function that writes to stdout, or to a file that is there only if all has been written."""
    if out is None:

        def write(content: bytes) -> None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()

        try:
            yield write
        except BrokenPipeError:  # the reader has all that it wants, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush at the end
            raise typer.Exit from None
        return
    if out.is_dir():
        raise InputError(f"--out {out} is a folder: name a file in it")
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        opened = open(temporary, "xb")  # noqa: SIM115 - closed below, and errors of reading are not its own
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): name another file with --out") from error
    try:
        with opened:
            yield opened.write
        os.replace(temporary, out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
