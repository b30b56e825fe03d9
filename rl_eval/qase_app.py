"""`rl-eval qase`: what a person does with a Qase project beside training on it."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    help="Look into test cases kept in Qase, and their results.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def inspect(
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="An export, results, or rest:<code>; default: QASE_DATA_PATH."),
    ] = None,
    results: Annotated[
        str | None, typer.Option("--results", metavar="PATH", help="Where the results of the cases lie.")
    ] = None,
) -> None:
    """Say what an export holds, what of it is unknown, and which features say nothing.

    \b
      rl-eval qase inspect export.json --results build/qase-report
      rl-eval qase inspect rest:DEMO          # with QASE_API_TOKEN set

    PATH is a JSON or CSV export, a folder of a reporter, results as JSON, flat records, a CSV of executions,
    or a folder with saved answers of the REST API.
    """
    from rl_eval.envs.qase.importing import load
    from rl_eval.envs.qase.inspection import report
    from rl_eval.envs.qase.settings import data_path

    for line in report(load(data_path(path), results)):
        typer.echo(line)
