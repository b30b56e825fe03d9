"""The typer application of `rl-eval qase`: the arguments of its commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Inspect test cases, order them for the next cycle, and make them from an OpenAPI description.",
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
    junit: Annotated[
        str | None,
        typer.Option(
            "--junit",
            metavar="DIR",
            help="JUnit XML reports of earlier cycles. Without EXPORT, their tests are the cases.",
        ),
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
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="File for the whole list, as CSV; default: prioritised.csv, with --pytest none.",
        ),
    ] = None,
    pytest: Annotated[
        bool, typer.Option("--pytest", help="Print only pytest node ids, in order; other lines go to stderr.")
    ] = False,
    collected: Annotated[
        str | None,
        typer.Option(
            "--collected",
            metavar="FILE",
            help="Output of `pytest --collect-only -q` (- for stdin): order exactly these tests.",
        ),
    ] = None,
    create_run: Annotated[
        str | None,
        typer.Option(
            "--create-run", metavar="CODE", help="Show a run of these cases in this Qase project; --send creates it."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Title of the run of --create-run.")
    ] = None,
    send: Annotated[
        bool, typer.Option("--send", help="Create the run of --create-run, with the token in QASE_API_TOKEN.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Allow a policy to run code from elsewhere (python:, sb3:).")
    ] = False,
) -> None:
    """Order the cases of the next cycle: cases that are likely to fail come first.

    \b
      rl-eval qase prioritise export.json --results build/qase-report --budget 20m
      rl-eval qase prioritise export.json --policy outputs/<date>/<run> --show 0
      rl-eval qase prioritise --junit reports/ --pytest > order.txt && pytest @order.txt
      rl-eval qase prioritise rest:DEMO --budget 20m --create-run DEMO --send

    Deprecated and muted cases are left out. The history of a case comes from the results; without results, only its
    texts and fields count.
    """
    from rl_eval.domains.qase.commands.prioritise import Options, prioritise_cases

    prioritise_cases(
        Options(
            path=path, results=results, junit=junit, collected=collected, budget=budget, policy=policy, show=show,
            out=out, pytest=pytest, create_run=create_run, title=title, send=send, trust=trust,
        )
    )  # fmt: skip


@app.command(name="from-openapi")
def from_openapi(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="An OpenAPI 3 description, JSON or YAML.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The export: .json or .csv, as Qase imports them.")
    ] = Path("cases.json"),
    sign_in: Annotated[
        str | None,
        typer.Option("--sign-in", metavar="REQUEST", help="Request that returns a token, such as 'POST /login'."),
    ] = None,
    sign_in_data: Annotated[
        str, typer.Option("--sign-in-data", metavar="JSON", help="Its body. Use a test account: it is in every case.")
    ] = "",
    token_at: Annotated[
        str, typer.Option("--token-at", metavar="PLACE", help="Where the token is in its response.")
    ] = "body.token",
) -> None:
    """Make test cases for each operation of an API: valid, a missing field, a wrong type, no authorisation.

    \b
      rl-eval qase from-openapi openapi.json --out cases.json
      rl-eval qase from-openapi openapi.yaml --sign-in 'POST /login' --sign-in-data '{"user": "qa", "password": "qa"}'

    A missing field or a wrong type is expected to be refused with the declared 400 or 422, a request without
    authorisation with the declared 401 or 403; any 4xx where the description declares none of them.
    """
    from rl_eval.domains.qase.commands.from_openapi import from_openapi as make_cases
    from rl_eval.domains.qase.openapi.cases import SignIn
    from rl_eval.terminal import print_line

    login = None if sign_in is None else SignIn(sign_in, sign_in_data, token_at)
    for line in make_cases(spec, out, login):
        print_line(line)
