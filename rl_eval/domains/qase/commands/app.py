"""`rl-eval qase`: what a person does with a Qase project beside training on it."""

from __future__ import annotations

from pathlib import Path
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
    from rl_eval.domains.qase.commands.inspection import report
    from rl_eval.domains.qase.environment_variables import data_path
    from rl_eval.domains.qase.formats.load import load

    for line in report(load(data_path(path), results)):
        typer.echo(line)


@app.command()
def prioritise(
    path: Annotated[
        str | None, typer.Argument(metavar="EXPORT", help="An export, or rest:<code>; default: QASE_DATA_PATH.")
    ] = None,
    results: Annotated[
        str | None, typer.Option("--results", metavar="PATH", help="Where the results of earlier cycles lie.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="What the cycle may take: 90s, 20m, 1h30m.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="A run directory, baseline:<name>, onnx:<file>, ...; default: the newest finished run of env=qase "
            "below outputs/, else baseline:failure_rate.",
        ),
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, metavar="N", help="Cases that are printed; 0: all.")] = 20,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The whole list, as CSV.")] = Path(
        "prioritised.csv"
    ),
    trust: Annotated[
        bool, typer.Option("--trust", help="Let a policy run code from elsewhere (python:, sb3:).")
    ] = False,
) -> None:
    """Order the cases of the next cycle: those first that are likely to fail.

    \b
      rl-eval qase prioritise export.json --results build/qase-report --budget 20m
      rl-eval qase prioritise export.json --policy outputs/<date>/<run> --show 0

    Deprecated and muted cases are left out. What a case did in earlier cycles comes from the results; without
    any, its texts and fields alone decide.
    """
    from rl_eval.domains.qase.commands.prioritise import prioritise_cases

    prioritise_cases(path, results, budget=budget, policy=policy, show=show, out=out, trust=trust)
