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
from rl_eval.errors import InputError

_HELP = """Prove whether a reinforcement-learning agent is good enough.

Write down what good enough means in a suite, one YAML file with `rl_eval: 1` at its top, and let pytest
decide it on held-out episodes:

\b
  pytest suites/                                   # the newest matching runs of train.py
  pytest suites/ --run outputs/<date>/<run>        # this run
  pytest suites/ --run onnx:policy.onnx            # an exported policy
  pytest suites/ --run sb3:ppo:model.zip --trust   # a Stable-Baselines3 model, which is a pickle

The commands below do the rest. Exit status: 0 done, 2 bad input.
"""

app = typer.Typer(
    name="rl-eval",
    help=_HELP,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
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
        raise InputError(f"export {run}: say the format, --onnx, which is the only one there is")
    where, size = _export_onnx(run, file or run / "policy.onnx")
    typer.echo(f"{where}: {size:,} bytes, judged with `pytest suites/ --run onnx:{where}`")


def _export_onnx(directory: Path, file: Path) -> tuple[Path, int]:
    from rl_eval.run import read_checkpoint, read_run, write_bytes
    from rl_eval.target import resolve

    run = read_run(directory)
    snapshot = run.judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise InputError("export --onnx needs onnx: pip install onnx, or 'rl_eval[onnx]'") from error
    try:
        described: dict[str, Any] = {
            "schema": 1,
            "env": {"name": meta["env"], "id": run.config["env"].get("id")},
            "obs_shape": meta["obs_shape"],
            "action_space": meta["action_space"],
            "clip_obs": meta["clip_obs"],
            "snapshot": snapshot.name,
            "sha256": meta["sha256"],
        }
        model = resolve("agents.export.to_onnx")(arrays, meta, described)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{snapshot} cannot be exported ({error}): name a run of a network of ours") from error
    try:
        write_bytes(file, model)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}): name another file") from error
    return file, len(model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Args:
        arguments: without the program's name; None: those of the process.
    """
    from rl_eval.terminal import print_error

    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = app(args=given or ["--help"], prog_name="rl-eval", standalone_mode=False)
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
