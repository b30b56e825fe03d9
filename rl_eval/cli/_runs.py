"""Commands on finished runs: `rl-eval verify`, `compare`, `report` and `doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rl_eval.cli._app import app
from rl_eval.errors import InputError

Trust = Annotated[
    bool, typer.Option("--trust", help="Import what a run names: plugins, and the module of `module:Env-v0`.")
]


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    trust: Trust = False,
) -> int:
    """Train a run again from its config, and compare the bytes.

    \b
      rl-eval verify outputs/<date>/<run>

    The run is trained in a temporary directory: to its end, or to its last snapshot if it was stopped. Then
    every snapshot, metrics.csv without its times, and the results are compared. The output names the first row
    and column, or the tensor, that differs, and what could explain it: other versions, threads, hardware,
    data, or another commit. It takes as long as the training did.

    Exit status: 0 everything agrees, 1 something differs, 2 bad input.
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
            help=(
                "Run directories, sweeps, offline W&B folders, wandb:entity/project[?group=...], logs of other "
                "programs, or two verdict files of pytest."
            ),
            show_default=False,
        ),
    ],
    baseline: Annotated[
        list[str] | None,
        typer.Option("--baseline", metavar="RUN", help="The run to compare with; may be repeated."),
    ] = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="A task metric; default: the validation metric of the runs.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="OURS=THEIRS,...",
            help="Columns of logs of other programs, such as episode_return_mean=reward.",
            show_default=False,
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option("--episodes", min=1, help="Episodes that each run plays; default: 100, or the whole finite set."),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="test|validation",
            help="The part of finite data that is played; default: validation for the jobs of one sweep, else test.",
            show_default=False,
        ),
    ] = None,
    bounds: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--bounds", metavar="LOW HIGH", help=("Range of a run's score; default: the range of the metric.")
        ),
    ] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="For each claim: highest chance that it is wrong.")] = 0.05,
    bar: Annotated[
        float | None,
        typer.Option(
            "--bar",
            help=(
                "Show what it cost to reach this value of the metric; default: the bar of the verdicts, or "
                "validation.stop_at."
            ),
            show_default=False,
        ),
    ] = None,
    verdicts: Annotated[bool, typer.Option("--verdicts", help="Show the criteria of each verdict.json too.")] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with status 1 if the candidate is shown to be worse.")
    ] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    trust: Trust = False,
) -> int:
    """Compare runs: settings that differ, scores on the same episodes, and which is better, with evidence.

    \b
      rl-eval compare outputs/<date>/<sweep>
      rl-eval compare outputs/<date>/<new run>... --baseline outputs/<date>/<old run> --gate
      rl-eval compare 'wandb:team/project?group=night' --html night.html
      rl-eval compare last-release.json gate.json --gate    # of pytest --rl-verdict
      rl-eval compare logs/ runs/    # of Stable-Baselines3 and CleanRL: their recorded training returns

    Runs that differ only in their seed are one group. The first group, or the runs of --baseline, is the
    baseline; the last is the candidate. All judged snapshots play the same episodes, which neither training nor
    gates use. If the data is finite, they play its test part; jobs of one sweep play its validation part,
    because the best of them is not chosen yet. If there is a bar, a table shows what it cost to reach it, in
    env steps, machine time, energy and money.

    Two verdict files are compared criterion by criterion: the decision, and the difference over the episodes that
    both have. --gate refuses a criterion that is worse, or that passed and no longer does.

    Exit status: 0 done, 1 if --gate shows that the candidate is worse, 2 bad input or runs that cannot be
    compared.
    """
    from rl_eval import terminal
    from rl_eval.compare.verdict_files import are_verdict_files, compare_verdict_files

    if are_verdict_files([*(baseline or ()), *runs]):
        from rl_eval.compare.verdict_table import show_verdict_files

        if html is not None:
            raise InputError(f"--html {html}: a page on a verdict file is written by `rl-eval report FILE`")
        return show_verdict_files(compare_verdict_files(runs, baseline or (), alpha), gate=gate, as_json=as_json)
    from rl_eval.compare import compare_runs
    from rl_eval.compare.command import show_comparison
    from rl_eval.foreign_logs import parse_columns
    from rl_eval.gates import ledger

    with terminal.ProgressLine(None, "comparing") as progress:
        result = compare_runs(
            runs,
            baseline or (),
            metric=metric,
            columns=None if columns is None else parse_columns(columns),
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
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run directories, a sweep, or a verdict file of pytest.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page; default: report.html in the run or sweep.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Write one HTML page about one or more runs: verdict, evidence, curves, behaviour, findings, provenance.

    \b
      rl-eval report outputs/<date>/<run>
      rl-eval report outputs/<date>/<sweep>
      rl-eval report outputs/<date>/<run> outputs/<date>/<other run> --out both.html
      rl-eval report gate.json     # from pytest --rl-verdict gate.json; any policy; writes gate.html

    The page is one file that loads nothing and runs no script. train.py writes it at the end of each run.
    """
    from rl_eval import terminal
    from rl_eval.report import write_report

    terminal.print_line(write_report(runs, out, trust=trust))


@app.command()
def doctor(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Run directories, a sweep, or logs of other programs.", show_default=False
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="OURS=THEIRS,...", help="Columns of such logs.", show_default=False),
    ] = None,
    trust: Trust = False,
) -> None:
    """Explain why a run fails: what its numbers show, what that means, and what to change.

    \b
      rl-eval doctor outputs/<date>/<run>
      rl-eval doctor outputs/<date>/<sweep>     # and whether the seed decides how good its runs are
      rl-eval doctor logs/                      # of Stable-Baselines3, or TensorBoard's event files
      rl-eval doctor run.csv --columns env_steps=step,episode_return_mean=reward

    The most important finding comes first, causes before symptoms. `try:` is an override for train.py. The
    curves of the run are read, and its policy plays the validation part, never the test set of a gate.

    Exit status: 0 with any findings, 2 bad input.
    """
    from rl_eval import diagnostics, terminal
    from rl_eval.foreign_logs import parse_columns
    from rl_eval.run import as_json as json_of
    from rl_eval.run import expand_sweeps, trials_text

    names = None if columns is None else parse_columns(columns)
    diagnosed = [diagnostics.read(path, trust=trust, columns=names) for path in expand_sweeps(runs)]
    rows: list[dict[str, Any]] = []
    for run in diagnosed:
        findings = [finding.to_json() for finding in diagnostics.all_findings(run)]
        rows.append({"run": str(run.path), "trials": trials_text(run), "findings": findings, "missing": run.missing})
    across_runs = [finding.to_json() for finding in diagnostics.seed_luck(diagnosed)]
    several = len(rows) > 1
    if as_json:
        typer.echo(json_of({"runs": rows, "together": across_runs} if several else rows[0]), nl=False)
        return
    for row in rows:
        heading = row["run"] if several else None
        terminal.print_findings(row["findings"], row["missing"], heading=heading, trials=row["trials"])
    if several:
        terminal.print_findings(across_runs, heading=f"{len(rows)} runs together")
