"""The typer application of `rl-eval webtest`: the arguments of `explore` and `review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Explore a web application in a browser, and report its failures.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def explore(
    url: Annotated[str, typer.Argument(metavar="URL", help="First page of the application.")],
    budget: Annotated[int, typer.Option("--budget", min=1, max=20_000, help="Number of actions.")] = 300,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="A run of env=webtest or baseline:<name>; default: baseline:pretrained.",
        ),
    ] = None,
    auth: Annotated[
        Path | None, typer.Option("--auth", metavar="FILE", help="Storage state of Playwright, after a log-in.")
    ] = None,
    login: Annotated[
        Path | None, typer.Option("--login", metavar="SCRIPT", help="Python with log_in(page); needs --trust.")
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow", metavar="PATTERN", help=("Use elements that look destructive if they match; may be repeated.")
        ),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option("--value", metavar="NAME=VALUE", help="A valid value for a field of a form; may be repeated."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.5, max=120.0, help=("Longest time for a page to load, in seconds."))
    ] = 10.0,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder of the report.")] = Path(
        "webtest-report"
    ),
    trust: Annotated[bool, typer.Option("--trust", help="Allow code from elsewhere: --login, python:, sb3:.")] = False,
) -> None:
    """Explore an application, and write a page with each failure and a script that shows it again.

    \b
      rl-eval webtest explore http://127.0.0.1:8000/ --budget 300
      rl-eval webtest explore http://127.0.0.1:8000/ --login log_in.py --trust --value code=WELCOME10

    It stays on the origin of URL. Elements that look as if they log out or delete are not used without --allow.
    Exit status: 0 no failure, 1 a failure, 2 bad input or a lost application, 130 stopped; what was found is kept.
    """
    from rl_eval.domains.webtest.commands.explore import explore_application

    raise typer.Exit(
        explore_application(
            url, budget=budget, policy=policy, auth=auth, login=login, allow=allow or [], values=value or [],
            timeout_s=timeout, out=out, trust=trust,
        )
    )  # fmt: skip


@app.command()
def review(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a report.")] = Path("webtest-report"),
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free port.")] = 8790,
) -> None:
    """Show a report on this machine, where its failures can be kept or dismissed.

    Judgements are kept in FOLDER/judgements.json; training with env.judgements=FOLDER/judgements.json reads them.
    """
    from rl_eval.domains.webtest.explore.review import server_of
    from rl_eval.terminal import print_line

    with server_of(folder, port) as server:
        print_line(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C ends it)")
        server.serve_forever()
