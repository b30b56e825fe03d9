"""`rl-eval power`: the chance that a policy passes a suite, before anything is trained or played."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, number

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rl_eval.gates.power import SuitePower
    from rl_eval.gates.suite import Suite

_COLUMNS = ("criterion", "metric", "bar", "true value", "PASS", "FAIL", "INCONCLUSIVE", "median units")


@app.command()
def power(
    suite: Annotated[Path, typer.Argument(metavar="SUITE", help="A suite file.", show_default=False)],
    true: Annotated[
        list[str] | None,
        typer.Option(
            "--true",
            metavar="NAME=VALUE",
            help=(
                "True value of a criterion or metric; with a reference, the difference from factor times the "
                "reference. May be repeated."
            ),
        ),
    ] = None,
    std: Annotated[
        list[str] | None,
        typer.Option(
            "--std",
            metavar="NAME=VALUE",
            help="Standard deviation of one unit, such as an episode's return; default: the largest possible.",
        ),
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            "--prevalence", help="Share of positive cases; default: that of the test set.", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="PATH", help="Path of the suite's data.", show_default=False),
    ] = None,
    gates: Annotated[int, typer.Option("--gates", min=1, max=100_000, help="Simulated gates for each row.")] = 500,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the simulation.")] = 0,
    trust: Annotated[bool, typer.Option("--trust", help="Import what the suite names.")] = False,
) -> None:
    """Simulate how likely a policy with given true values is to pass a suite; nothing is trained or judged.

    \b
      rl-eval power suites/mine.yaml            # several values between each bar and the best value
      rl-eval power suites/mine.yaml --true f1=0.88 --true recall=0.8
      rl-eval power suites/mine.yaml --true mean_return=230 --std mean_return=80

    Use it to choose bars and `episodes.max`: if a good policy is INCONCLUSIVE in half of the gates, it needs
    more episodes or a lower bar. Simulated gates decide like real ones, with the suite's alpha, limits,
    population and copies of cases. The lines below the table say what is assumed. With --true, only the
    criteria that it names are simulated. Values close to a bar take long.

    Exit status: 0 done, 2 bad input.
    """
    from rl_eval import terminal
    from rl_eval.gates import load_suite
    from rl_eval.gates.power import suite_power

    loaded = load_suite(suite, trust=trust)
    values, deviations = _numbers("--true", true or ()), _numbers("--std", std or ())
    with terminal.ProgressLine(None, f"power of {suite.name}", unit="gates") as progress:
        result = suite_power(
            loaded,
            true=values,
            std=deviations,
            prevalence=prevalence,
            data=data,
            gates=gates,
            seed=seed,
            trust=trust,
            on_gate=lambda done, total, criterion: progress.work(done, total, note=criterion),
        )
    _show(loaded, result, gates, seed)


def _numbers(option: str, arguments: list[str] | tuple[str, ...]) -> dict[str, float]:
    """`NAME=VALUE` of an option that may be repeated.

    Raises:
        InputError: one has another form, or names what another one has named.
    """
    values: dict[str, float] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not name or not equals or not math.isfinite(value):
            raise InputError(f"{option} {argument}: give a name and a number, such as {option} f1=0.85")
        if name in values:
            raise InputError(f"{option} names {name} twice: give one value for it")
        values[name] = value
    return values


def _show(suite: Suite, result: SuitePower, gates: int, seed: int) -> None:
    from rich.measure import Measurement

    from rl_eval import terminal
    from rl_eval.gates.power import chance_of_all

    console = terminal.console_for()
    table, with_metric = _table(console, result, _COLUMNS), True
    if Measurement.get(console, console.options.update(max_width=10_000), table).maximum > console.width:
        table, with_metric = _table(console, result, [name for name in _COLUMNS if name != "metric"]), False
    summaries = []
    for title, rows in result.groups:
        independent, least, most = chance_of_all([row.power.passes for row in rows])
        if len(rows) > 1:
            summaries.append(
                f"{suite.name}, {title}: passes with {_chance(independent)} if the criteria are independent; with at "
                f"most {_chance(most)}, as its worst criterion, and at least {_chance(least)}, for any dependence"
            )
    console.print(table)
    if not with_metric:
        console.print(terminal.cell("not shown at this width: metric", console.options, "dim"))
    print_line = terminal.print_line
    for line in ["", *summaries] if summaries else ():
        print_line(line)
    alpha, count = suite.spec.alpha, result.by_evidence
    print_line("")
    if count > 1:
        print_line(
            f"alpha {number(alpha)} is that of one criterion: a policy below any bar passes the suite with a "
            f"probability of at most {number(alpha)}; one above all bars has a FAIL among {count} criteria by "
            f"evidence with at most {number(min(1.0, alpha * count))}"
        )
    else:
        print_line(
            f"alpha {number(alpha)}: a policy below the bar passes with a probability of at most {number(alpha)}"
        )
    if suite.spec.runs.count > 1:
        print_line(f"these are chances of one run; the suite judges {suite.spec.runs.count}, and the worst decides")
    print_line(f"{gates:,} gates per row, seed {seed}: a chance is known to about ± {number(1 / math.sqrt(gates), 2)}")
    for line in result.assumed:
        print_line(f"assumed for {line}")
    for name, reason in result.not_simulated.items():
        print_line(f"not simulated: {name}, which {reason}")


def _table(console: Console, result: SuitePower, columns: Sequence[str]) -> Table:
    from rl_eval import terminal

    table = terminal.new_table()
    for column in columns:
        text = column in ("criterion", "metric")
        table.add_column(column, justify="left" if text else "right", no_wrap=not text)
    for _, rows in result.groups:
        for row in rows:
            units = "-" if row.power.median_units is None else f"{row.power.median_units:,.0f}"
            cells = {
                "criterion": row.criterion,
                "metric": row.metric,
                "bar": f"{COMPARISON_SIGNS[row.direction]} {number(row.threshold)}",
                "true value": number(row.true),
                "PASS": _chance(row.power.passes),
                "FAIL": _chance(row.power.fails),
                "INCONCLUSIVE": _chance(row.power.inconclusive),
                "median units": units + ("" if row.limit is None else f"/{row.limit:,}"),
            }
            table.add_row(*(terminal.cell(cells[column], console.options) for column in columns))
        if len(rows) > 1:
            table.add_section()
    return table


def _chance(value: float) -> str:
    return f"{value:.2f}" if 0.005 <= value <= 0.995 or value in (0, 1) else f"{value:.3f}"
