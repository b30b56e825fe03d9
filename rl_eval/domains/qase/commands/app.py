"""The typer application of `rl-eval qase`: the arguments of `inspect` and `prioritise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Inspect test cases kept in Qase, and order them for the next cycle.",
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
        str | None, typer.Option("--results", metavar="PATH", help="Path of the results of the cases.")
    ] = None,
) -> None:
    """Print what an export contains, which values are unknown, and which features have no information.

    \b
      rl-eval qase inspect export.json --results build/qase-report
      rl-eval qase inspect rest:DEMO          # with QASE_API_TOKEN set

    PATH is a JSON or CSV export, a folder of a reporter, results as JSON, flat records, a CSV of executions,
    or a folder with saved responses of the REST API.
    """
    from rl_eval.domains.qase.commands.inspection import report
    from rl_eval.domains.qase.environment_variables import data_path
    from rl_eval.domains.qase.formats.load import load
    from rl_eval.terminal import print_line

    for line in report(load(data_path(path), results)):
        print_line(line)


@app.command()
def prioritise(
    path: Annotated[
        str | None, typer.Argument(metavar="EXPORT", help="An export, or rest:<code>; default: QASE_DATA_PATH.")
    ] = None,
    results: Annotated[
        str | None, typer.Option("--results", metavar="PATH", help="Path of the results of earlier cycles.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Time for the cycle: 90s, 20m, 1h30m.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="A run directory, baseline:<name>, onnx:<file>, ...; default: the finished run of env=qase below "
            "outputs/ or the baseline that is best on the validation cycles of the project.",
        ),
    ] = None,
    show: Annotated[int, typer.Option("--show", min=0, metavar="N", help="Number of cases to print; 0: all.")] = 20,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File for the whole list, as CSV.")] = Path(
        "prioritised.csv"
    ),
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow a policy to run code from elsewhere (python:, sb3:).")
    ] = False,
) -> None:
    """Order the cases of the next cycle: cases that are likely to fail come first.

    \b
      rl-eval qase prioritise export.json --results build/qase-report --budget 20m
      rl-eval qase prioritise export.json --policy outputs/<date>/<run> --show 0

    Deprecated and muted cases are left out. The history of a case comes from the results; without results, only its
    texts and fields count.
    """
    from rl_eval.domains.qase.commands.prioritise import prioritise_cases

    prioritise_cases(path, results, budget=budget, policy=policy, show=show, out=out, trust=trust)
