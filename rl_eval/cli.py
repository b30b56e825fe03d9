"""`rl-eval`: what a person does with a run or a suite beside training (`train.py`) and gating (`pytest`).

Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from rl_eval import __version__
from rl_eval.domains import domains
from rl_eval.errors import InputError

_HELP = """Prove whether a reinforcement-learning agent is good enough.

Write down what good enough means in a suite, one YAML file with `rl_eval: 1` at its top, and let pytest
decide it on held-out episodes:

\b
  pytest suites/                                   # the newest matching runs of train.py
  pytest suites/ --run outputs/<date>/<run>        # this run
  pytest suites/ --run onnx:policy.onnx            # an exported policy
  pytest suites/ --run sb3:ppo:model.zip --trust   # a Stable-Baselines3 model, which is a pickle

The commands below do the rest. Exit status: 0 done, 2 bad input; `verify`: 1 where something differs.
"""

app = typer.Typer(
    name="rl-eval",
    help=_HELP,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _domain in domains():
    if (_commands := _domain.commands()) is not None:
        app.add_typer(_commands, name=_domain.name)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"rl-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def schema() -> None:
    """Print the JSON Schema of suites, for editors.

    \b
      rl-eval schema > suite.schema.json
    and, as the first line of a suite, for editors with the YAML language server:
      # yaml-language-server: $schema=../suite.schema.json
    """
    from rl_eval.gates import SuiteSpec

    values = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **SuiteSpec.model_json_schema(),
        "title": "rl_eval acceptance suite",
    }
    typer.echo(json.dumps(values, indent=2, ensure_ascii=False))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write; default: RUN/policy.onnx.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="As ONNX, the one format there is.")] = False,
) -> None:
    """Write the policy of a run as one file that acts without this project.

    \b
      rl-eval export outputs/<date>/<run> --onnx policy.onnx

    The file holds the network of the snapshot that gates judge, the scaling of its observations and the
    mapping to actions. `pytest suites/ --run onnx:policy.onnx` judges it anywhere, and onnxruntime runs
    it in any language: `observations` [N, ...] in, `action` out.
    """
    if not onnx:
        raise InputError(f"export {run}: name the format, --onnx, the only one there is")
    target = file or run / "policy.onnx"
    size = _export_onnx(run, target)
    typer.echo(f"{target}: {size:,} bytes, judged with `pytest suites/ --run onnx:{target}`")


def _export_onnx(directory: Path, file: Path) -> int:
    """Write the judged policy; returns the bytes of the file."""
    from rl_eval.agent_registry import agent
    from rl_eval.run import read_checkpoint, read_run, write_bytes

    run = read_run(directory)
    snapshot = run.judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise InputError("export --onnx needs onnx: pip install onnx, or 'rl_eval[onnx]'") from error
    try:
        description: dict[str, Any] = {
            "schema": 1,
            "env": {"name": meta["env"], "id": run.config["env"].get("id")},
            "obs_shape": meta["obs_shape"],
            "action_space": meta["action_space"],
            "clip_obs": meta["clip_obs"],
            "snapshot": snapshot.name,
            "sha256": meta["sha256"],
        }
        model = agent(meta["agent"]).to_onnx(arrays, meta, description)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{snapshot} cannot be exported ({error}): name a run of a network of ours") from error
    try:
        write_bytes(file, model)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}): name another file") from error
    return len(model)


@app.command()
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Import what a run names: plugins, and the module of `module:Env-v0`."),
    ] = False,
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
        typer.echo(f"differs  {part.name}: {part.difference}" if part.difference else f"agrees   {part.name}")
    if result.agrees:
        typer.echo(f"{run}: every byte agrees, {result.env_steps:,} env steps replayed")
        return 0
    for explanation in result.explanations or ("nothing that is recorded; uncommitted changes of the code are not",):
        typer.echo(f"could explain it: {explanation}")
    typer.echo(f"{run}: differs, {result.env_steps:,} env steps replayed")
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
        typer.Option("--episodes", min=1, help="Episodes each run plays; default: 100, or a whole finite set."),
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", help="Chance of calling equals worse, and of calling them better.")
    ] = 0.05,
    verdicts: Annotated[bool, typer.Option("--verdicts", help="Beside it, the criteria of each verdict.json.")] = False,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 when the candidate is worse, with evidence.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Import what a run names: plugins, and the module of `module:Env-v0`."),
    ] = False,
) -> int:
    """Put runs side by side: what differs, what they reach, and which is better, with evidence.

    \b
      rl-eval compare outputs/<date>/<sweep>
      rl-eval compare outputs/<date>/<new run>... --baseline outputs/<date>/<old run> --gate
      rl-eval compare 'wandb:team/project?group=night' --html night.html

    Runs that differ in nothing but their seed are one group. The first group, or the runs of --baseline, is the
    baseline; the last is the candidate. All judged snapshots play the same episodes, apart from training and
    from every gate.

    Exit status: 0 done, 1 with --gate where the candidate is worse with evidence, 2 bad input, or runs that
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
            episodes=episodes,
            alpha=alpha,
            with_verdicts=verdicts,
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
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Import what a run names: plugins, and the module of `module:Env-v0`."),
    ] = False,
) -> None:
    """Write one HTML page on a run, or on several: verdict, evidence, curves, behaviour, findings, provenance.

    \b
      rl-eval report outputs/<date>/<run>
      rl-eval report outputs/<date>/<sweep>
      rl-eval report outputs/<date>/<run> outputs/<date>/<other run> --out both.html

    The page is one file that loads nothing and runs no script. train.py writes the page of a run at its end.
    """
    from rl_eval.report import write_report

    typer.echo(write_report(runs, out, trust=trust))


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
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Import what a run names: plugins, and the module of `module:Env-v0`."),
    ] = False,
) -> None:
    """Say why a run fails: what it shows, what that means, and what to change.

    \b
      rl-eval doctor outputs/<date>/<run>
      rl-eval doctor outputs/<date>/<sweep>     # and whether the seed decides how good its runs are
      rl-eval doctor logs/                      # progress.csv or monitor.csv of Stable-Baselines3
      rl-eval doctor run.csv --columns env_steps=step,episode_return_mean=reward

    The most important finding comes first, causes before symptoms. `try:` is an override of train.py, to be
    pasted. The run's curves are read and its policy is played on the validation part, never on the gate's.

    Exit status: 0 whatever was found, 2 bad input.
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Args:
        arguments: without the program's name; None: those of the process.
    """
    from rl_eval.terminal import print_error

    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(args=typed or ["--help"], prog_name="rl-eval", standalone_mode=False)
    except InputError as error:
        print_error(str(error))
        return 2
    except typer.TyperException as error:  # how the command line was typed
        message = " ".join(error.format_message().split())
        print_error(f"{message.rstrip('.')}: `rl-eval --help` lists the commands")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # `rl-eval schema | head`
        sys.stderr.close()
        return 0
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
