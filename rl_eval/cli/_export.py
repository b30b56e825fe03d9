"""`rl-eval export`: the policy of a run as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rl_eval.agent_registry import agent
from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.plugins import require_plugins_of_run


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory of train.py.", show_default=False)],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to write; default: RUN/policy.onnx.")
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write ONNX, the only format.")] = False,
    trust: Annotated[bool, typer.Option("--trust", help="Import plugins that the run names.")] = False,
) -> None:
    """Write the policy of a run to one file that works without this project.

    \b
      rl-eval export outputs/<date>/<run> --onnx policy.onnx

    The file contains the network of the judged snapshot, the scaling of observations, the mapping to actions
    and, as metadata, the preprocessing.json of the run. If that is larger than 256 KiB, it is written next to
    the file, as FILE.preprocessing.json. `pytest suites/<file>.yaml --rl-run onnx:policy.onnx` judges it
    anywhere. onnxruntime runs it in any language: `observations` [N, ...] in, `action` out.
    """
    if not onnx:
        raise InputError(f"export {run}: add --onnx, the only format")
    from rl_eval import terminal
    from rl_eval.gates.judge_command import judge_command
    from rl_eval.run import read_run

    target = file or run / "policy.onnx"
    size, preprocessing = _export_onnx(run, target, trust)
    command = judge_command(read_run(run).config, f"onnx:{target}")
    note = "" if preprocessing is None else f"; keep {preprocessing} next to it"
    terminal.print_line(f"{target}: {size:,} bytes, judged with {command}{note}")


def _export_onnx(directory: Path, file: Path, trust: bool) -> tuple[int, Path | None]:
    """Write the judged policy; returns its size in bytes, and the file of its preprocessing, if there is one."""
    from rl_eval.policy import describe_preprocessing, preprocessing_file
    from rl_eval.run import read_checkpoint, read_preprocessing, read_run, write_bytes

    run = read_run(directory)
    require_plugins_of_run(run.path, run.config, trust=trust)
    snapshot = run.judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    preprocessing, long_preprocessing = read_preprocessing(run), None
    require_extra("onnx", "export --onnx", "onnx")
    require_extra("train", "export --onnx", "torch")
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
        if preprocessing is not None:
            description["preprocessing"], long_preprocessing = describe_preprocessing(preprocessing)
        model = agent(meta["agent"]).to_onnx(arrays, meta, description)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{snapshot} cannot be exported ({error}): name a run with a network of this project"
        ) from error
    separate_file = None if long_preprocessing is None else preprocessing_file(file)
    try:
        if separate_file is not None and long_preprocessing is not None:
            write_bytes(separate_file, long_preprocessing)
        write_bytes(file, model)
    except OSError as error:
        if separate_file is not None:
            separate_file.unlink(missing_ok=True)
        raise InputError(f"{file} cannot be written ({error.strerror}): name another file") from error
    return len(model), separate_file
