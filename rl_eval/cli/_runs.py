"""Commands on finished runs: `rl-eval verify`, `compare`, `report` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rl_eval.cli._app import app

Trust = Annotated[
    bool, typer.Option("--trust", help="Import what a run names: plugins, and the module of `module:Env-v0`.")
]


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    trust: Trust = False,
) -> int:
    """Replay a run from its config, and say whether the bytes agree.

    \b
      rl-eval verify outputs/<date>/<run>

    The run is trained once more in a temporary directory: to its end, or, where it was stopped, as far as
    its last snapshot. Then every snapshot, metrics.csv but for its times, and the results are compared. A
    difference is named by its first row and column, or by its tensor, with what could explain it: other
    versions, threads, hardware, data, or another commit. It takes as long as the training did.

    Exit status: 0 all agrees, 1 something differs, 2 bad input.
    """
    from rl_eval import terminal
    from rl_eval.run import read_run, step_of
    from rl_eval.verify import verify as verify_run

    original = read_run(run)
    steps = [original.info.get("env_steps")] if original.finished else [step_of(p) for p in original.snapshots()[-1:]]
    total = steps[0] if steps and isinstance(steps[0], int) else None
    with terminal.ProgressLine(total, f"replay of {run.name}") as progress:
        result = verify_run(run, trust=trust, on_step=lambda env_steps, *_: progress.update(env_steps))
    for part in result.parts:
        terminal.print_line(f"differs  {part.name}: {part.difference}" if part.difference else f"agrees   {part.name}")
    if result.agrees:
        terminal.print_line(f"{run}: every byte agrees, {result.env_steps:,} env steps replayed")
        return 0
    for explanation in result.explanations or ("nothing that is recorded; uncommitted changes of the code are not",):
        terminal.print_line(f"could explain it: {explanation}")
    terminal.print_line(f"{run}: differs, {result.env_steps:,} env steps replayed")
    return 1


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, sweeps, offline W&B folders, wandb:entity/project[?group=...].",
            show_default=False,
        ),
    ],
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="RUN", help="What the others are compared with; may be repeated."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="A task metric; default: what the runs were selected by.")
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option("--episodes", min=1, help="Episodes each run plays; default: 100, or all of a finite set."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="test|validation",
            help="What is played of a finite set of data; default: validation for the jobs of one sweep, else test.",
            show_default=False,
        ),
    ] = None,
    bounds: Annotated[
        tuple[float, float] | None,
        typer.Option("--bounds", metavar="LOW HIGH", help="What a run can score; default: what the metric can be."),
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Chance that a claim is wrong, each claim.")] = 0.05,
    bar: Annotated[
        float | None,
        typer.Option(
            "--bar",
            help="Of the metric, for what it cost to reach it; default: that of the verdicts, or validation.stop_at.",
            show_default=False,
        ),
    ] = None,
    verdicts: Annotated[bool, typer.Option("--verdicts", help="Also the criteria of each verdict.json.")] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 when the candidate is shown to be worse.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    trust: Trust = False,
) -> int:
    """Put runs side by side: what differs, what they reach, and which is better, with evidence.

    \b
      rl-eval compare outputs/<date>/<sweep>
      rl-eval compare outputs/<date>/<new run>... --baseline outputs/<date>/<old run> --gate
      rl-eval compare 'wandb:team/project?group=night' --html night.html

    Runs that differ only in their seed are one group. The first group, or the runs of --baseline, is the
    baseline; the last is the candidate. All judged snapshots play the same episodes, apart from training and
    from every gate. Where the data is finite these are its test part, or of the jobs of one sweep its
    validation part, since the best of them is yet to be chosen. Where there is a bar, a table says what it
    cost to reach it, in env steps, machine time, energy and money.

    Exit status: 0 done, 1 with --gate where the candidate is shown to be worse, 2 bad input, or runs that
    cannot be compared.
    """
    from rl_eval import terminal
    from rl_eval.compare import compare_runs
    from rl_eval.compare.command import show_comparison
    from rl_eval.gates import ledger

    with terminal.ProgressLine(None, "comparing") as progress:
        result = compare_runs(
            runs,
            baseline or (),
            metric=metric,
            part=part,
            episodes=episodes,
            bounds=bounds,
            alpha=alpha,
            bar=bar,
            with_verdicts=verdicts,
            gate=gate,
            trust=trust,
            ledger=ledger.DEFAULT,
            on_episodes=progress.episodes,
        )
    return show_comparison(result, gate=gate, html=html, as_json=as_json)


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run directories, or a sweep.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: report.html in the run or sweep.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write one HTML page on a run, or on several: verdict, evidence, curves, behaviour, findings, provenance.

    \b
      rl-eval report outputs/<date>/<run>
      rl-eval report outputs/<date>/<sweep>
      rl-eval report outputs/<date>/<run> outputs/<date>/<other run> --out both.html

    The page is one file that loads nothing and runs no script. train.py writes the page of a run at its end.
    """
    from rl_eval import terminal
    from rl_eval.report import write_report

    terminal.print_line(write_report(runs, out, trust=trust))


@app.command()
def doctor(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run directories, a sweep, or a CSV file of metrics.", show_default=False
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns", metavar="OURS=THEIRS,...", help="Of a CSV file: which column is which.", show_default=False
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Say why a run fails: what it shows, what that means, and what to change.

    \b
      rl-eval doctor outputs/<date>/<run>
      rl-eval doctor outputs/<date>/<sweep>     # and whether the seed decides how good its runs are
      rl-eval doctor logs/                      # progress.csv or monitor.csv of Stable-Baselines3
      rl-eval doctor run.csv --columns env_steps=step,episode_return_mean=reward

    The most important finding comes first, causes before symptoms. `try:` is an override of train.py, to be
    pasted. The run's curves are read and its policy is played on the validation part, never on the gate's.

    Exit status: 0 with any findings, 2 bad input.
    """
    from rl_eval import diagnostics, terminal
    from rl_eval.run import as_json as json_of
    from rl_eval.run import expand_sweeps

    names = None if columns is None else diagnostics.parse_columns(columns)
    diagnosed = [diagnostics.read(path, trust=trust, columns=names) for path in expand_sweeps(runs)]
    rows: list[dict[str, Any]] = []
    for run in diagnosed:
        findings = [finding.to_json() for finding in diagnostics.all_findings(run)]
        rows.append({"run": str(run.path), "findings": findings, "missing": run.missing})
    across_runs = [finding.to_json() for finding in diagnostics.seed_luck(diagnosed)]
    several = len(rows) > 1
    if as_json:
        typer.echo(json_of({"runs": rows, "together": across_runs} if several else rows[0]), nl=False)
        return
    for row in rows:
        terminal.print_findings(row["findings"], row["missing"], heading=row["run"] if several else None)
    if several:
        terminal.print_findings(across_runs, heading=f"{len(rows)} runs together")
