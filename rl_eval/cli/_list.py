"""`rl-eval list`: the runs below a folder, on the terminal."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError, nearest

OUTPUTS = Path("outputs")
Outputs = Annotated[Path, typer.Argument(metavar="[OUTPUTS]", help="The folder of runs.")]


@app.command("list")
def list_runs(
    outputs: Outputs = OUTPUTS,
    search: Annotated[
        str, typer.Option("--search", "-s", metavar="WORDS", help="Words that are all in path, names or status.")
    ] = "",
    env: Annotated[str | None, typer.Option("--env", help="Only this environment, or Gymnasium id.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Only this agent.")] = None,
    verdict: Annotated[
        str | None,
        typer.Option("--verdict", help="Only PASS, FAIL, INCONCLUSIVE, ERROR, NEEDS_RUNS, or NONE: not judged."),
    ] = None,
    suite: Annotated[str | None, typer.Option("--suite", help="Only runs that this suite judged.")] = None,
    status: Annotated[
        str | None, typer.Option("--status", help="Only running, finished, failed, interrupted or over_budget.")
    ] = None,
    sort: Annotated[
        str, typer.Option("--sort", help="started, name, env, agent, seed, steps, time, score or verdict.")
    ] = "started",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="The most rows to print.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the runs below a folder, the newest first.

    \b
      rl-eval list
      rl-eval list --agent ppo --verdict PASS --sort score
      rl-eval list -s 'ppo seed=3' --limit 100
      rl-eval list --json > runs.json

    The list comes from run.json and verdict.json of each run. outputs/index.sqlite keeps what was read, so only
    changed runs are read again; you may delete it at any time. `score` is the validation metric of the judged
    snapshot.
    """
    from rl_eval import terminal
    from rl_eval.cli._run_table import print_runs
    from rl_eval.run import SEVERITY, STATUSES
    from rl_eval.run import as_json as json_of
    from rl_eval.run_index import SORT_KEYS, Query, select
    from rl_eval.run_index import list_runs as read_list

    decision = None if verdict is None else verdict.upper().replace(" ", "_")
    _require("--verdict", decision, (*SEVERITY, "NONE"))
    _require("--status", status, (*STATUSES, "unreadable"))
    _require("--sort", sort, tuple(SORT_KEYS))
    with terminal.QuietProgress("reading runs", unit="runs") as progress:
        listing = read_list(outputs, progress.update)
    query = Query(search, env, agent, decision, suite, status, sort, reverse)
    found = select(listing.entries, query)
    shown = found[:limit]
    if as_json:
        rows = [{**asdict(entry), "decision": entry.decision} for entry in shown]
        typer.echo(json_of({"runs": rows, "found": len(found), "total": len(listing.entries)}), nl=False)
    else:
        if shown:
            print_runs(shown, outputs)
        total = len(listing.entries)
        terminal.print_line(f"{len(shown):,} of {len(found):,} runs shown; {total:,} in {outputs}")
    for note in listing.notes:
        terminal.print_line(note, stderr=True)


def _require(option: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InputError(f"{option} {value!r} does not exist: {nearest(value, allowed)}it is {', '.join(allowed)}")
