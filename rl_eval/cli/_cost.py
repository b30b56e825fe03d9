"""`rl-eval cost`: what runs cost, and what the same work would cost elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.formatting import brief, number, quantity

if TYPE_CHECKING:
    from rl_eval.cost import Elsewhere, RecordedCost

MAX_ROWS = 40  # of single runs; --json has all of them


@app.command()
def cost(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories or sweeps.", show_default=False)
    ],
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="MACHINE,...", help="Estimate for these machines.", show_default=False),
    ] = None,
    speed: Annotated[
        list[str] | None,
        typer.Option(
            "--speed",
            metavar="MACHINE=TIMES",
            help=("Speed of a machine, relative to the one that made the run; may be repeated."),
        ),
    ] = None,
    outputs: Annotated[
        Path, typer.Option("--outputs", help="Folder with runs on those machines, to measure their speed.")
    ] = Path("outputs"),
    prices: Annotated[
        Path | None,
        typer.Option("--prices", metavar="FILE", help="A price list of your own.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show what runs cost: machine time, energy and money; and what they would cost on other machines.

    \b
      rl-eval cost outputs/<date>/<sweep>
      rl-eval cost outputs/<date>/<sweep> --on a100-spot,rtx3070
      rl-eval cost outputs/<date>/<run> --on rtx3070 --speed rtx3070=2.5
      rl-eval cost outputs/<date>/<run> --on mine --prices my_prices.yaml

    A run records its cost if its machine is named: train.py hardware.machine=a100-spot. Machine time is the
    time that it used a machine; four jobs at once on one machine use a quarter each. Energy is an estimate
    from rated power. What is not known is `unknown`, never 0.

    With --on, the table is an estimate. The speed of a machine is measured if --outputs has runs on it with
    the same agent, settings and environment; otherwise --speed gives it; otherwise it is assumed to be that of
    the machine that made the run, and `even at` says how many times as fast it must be to cost the same. A
    small network on a GPU is often no faster than on a CPU: run one job there first.

    Exit status: 0 done, 2 bad input.
    """
    from rl_eval.cost import elsewhere, read_prices, recorded_cost, total
    from rl_eval.run import as_json as json_of
    from rl_eval.run import expand_sweeps, find_runs, read_run

    recorded = [recorded_cost(read_run(path)) for path in expand_sweeps(runs)]
    rates = [read_prices(prices).rate(name) for name in _names(on)]
    speeds = _speeds(speed or (), [str(rate.machine) for rate in rates])
    measured = [recorded_cost(run) for run in find_runs(outputs)[0]] if rates and outputs.is_dir() else []
    others = [elsewhere(recorded, rate, measured, speeds.get(str(rate.machine))) for rate in rates]
    whole = total(run.total for run in recorded)
    if as_json:
        values = {
            "runs": [{"run": str(run.path), **_json(run)} for run in recorded],
            "total": {**whole.to_json(), "currency": whole.currency},
            "elsewhere": [_json_elsewhere(other) for other in others],
        }
        typer.echo(json_of(values), nl=False)
        return
    _show(recorded, others)


def _names(text: str | None) -> list[str]:
    names = [name.strip() for name in (text or "").split(",")]
    return list(dict.fromkeys(name for name in names if name))


def _speeds(arguments: Sequence[str], machines: Sequence[str]) -> dict[str, float]:
    """`MACHINE=TIMES` of an option that may be repeated.

    Raises:
        InputError: one has another form, or names a machine that `--on` does not.
    """
    speeds: dict[str, float] = {}
    for argument in arguments:
        name, _, text = argument.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise InputError(f"--speed {argument}: give a machine and a number, such as --speed rtx3070=2.5")
        if name not in machines:
            raise InputError(f"--speed {argument}: --on does not name {brief(name, 60)}: add it there")
        speeds[name] = value
    return speeds


def _json(run: RecordedCost) -> dict[str, Any]:
    parts = {"training": run.training.to_json(), "total": run.total.to_json()}
    judging = {suite: cost.to_json() for suite, cost in run.judging.items()}
    return {"machine": run.rate.machine, "currency": run.total.currency, "judging": judging, **parts}


def _json_elsewhere(other: Elsewhere) -> dict[str, Any]:
    speeds = [{"times": speed.value, "how": speed.how} for speed in other.speeds]
    values = {"machine": other.rate.machine, "kind": other.rate.kind, "estimate": True, "speeds": speeds}
    return {**values, **other.cost.to_json(), "currency": other.cost.currency, "even_at": other.break_even}


def _show(recorded: Sequence[RecordedCost], others: Sequence[Elsewhere]) -> None:
    from rl_eval import terminal
    from rl_eval.cost import energy_text, money_text, total

    console = terminal.console_for()
    table = terminal.new_table()
    for column in ("run", "machine"):
        table.add_column(column, overflow="fold")
    for column in ("env steps", "machine-seconds", "training", "judging", "money", "energy"):
        table.add_column(column, justify="right", no_wrap=True)
    for run in recorded[:MAX_ROWS]:
        times = (run.total, run.training, total(run.judging.values()))
        cells = [brief(run.path.name, 80), run.rate.machine or "unknown", f"{run.env_steps:,}"]
        cells += [number(part.machine_s) for part in times]
        cells += [money_text(run.total), energy_text(run.total)]
        table.add_row(*(terminal.cell(text, console.options) for text in cells))
    console.print(table)
    if len(recorded) > MAX_ROWS:
        terminal.print_line(f"and {quantity(len(recorded) - MAX_ROWS, 'run')} more: --json has all of them")
    whole = total(run.total for run in recorded)
    terminal.print_line(
        f"{quantity(len(recorded), 'run')}: {number(whole.machine_s)} machine-seconds, energy {energy_text(whole)}, "
        f"money {money_text(whole)}"
    )
    unpriced = sum(run.total.money is None for run in recorded)
    if unpriced:
        terminal.print_line(
            f"the price of {quantity(unpriced, 'run')} is not known: name the machine in training, with "
            "hardware.machine=..."
        )
    if not others:
        return
    estimate = terminal.new_table()
    estimate.add_column("the same work on", overflow="fold")
    for column in ("kind", "an hour", "speed", "machine-seconds", "money", "energy", "even at"):
        estimate.add_column(column, justify="right", no_wrap=True)
    for other in others:
        rate = other.rate
        cells = [
            str(rate.machine),
            str(rate.kind),
            "unknown" if rate.price_per_hour is None else f"{number(rate.price_per_hour, 3)} {rate.currency}",
            other.speed_text,
            number(other.cost.machine_s),
            money_text(other.cost),
            energy_text(other.cost),
            "-" if other.break_even is None else f"{number(other.break_even, 3)} times",
        ]
        estimate.add_row(*(terminal.cell(text, console.options) for text in cells))
    console.print()
    console.print(estimate)
    terminal.print_line(
        "an estimate, with prices of the dates in the list; speed is relative to the machine that made the run"
    )
    for other in others:
        terminal.print_line(f"{other.rate.machine}: {other.rate.date}, {other.rate.source}")
