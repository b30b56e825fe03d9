"""`--rl-train-missing`: run train.py for suites whose runs are missing."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from rl_eval.errors import InputError
from rl_eval.formatting import display_text
from rl_eval.override_text import training_command

if TYPE_CHECKING:
    from rl_eval.gates import Suite


def train(config: pytest.Config, suite: Suite) -> None:
    """Run the commands that train what a suite judges.

    Raises:
        InputError: there is no train.py, no data, or training failed.
    """
    from rl_eval.gates import needs_path, train_arguments, train_command

    script = config.rootpath / "train.py"
    if not script.is_file():
        raise InputError(
            f"--rl-train-missing runs {script}, which does not exist: train elsewhere and name the run with --rl-run"
        )
    if needs_path(suite):
        raise InputError(
            f"{suite.label} needs data and does not say where it is: name the folder of all data sets with "
            f"--rl-data, or train with `{train_command(suite)}`"
        )
    for arguments in train_arguments(suite):
        _run(config, [sys.executable, str(script), *arguments], training_command(arguments))


def _run(config: pytest.Config, command: list[str], command_text: str) -> None:
    """Train in another process, and print its output as it comes.

    Raises:
        InputError: it failed; quotes its last line.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    last: deque[str] = deque(maxlen=1)
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        print(f"\n{display_text(command_text)}", flush=True)
        process = subprocess.Popen(
            command,
            cwd=config.invocation_params.dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                last.extend([line.strip()] if line.strip() else [])
            status = process.wait()
        except BaseException:
            # Ctrl-C reached the training as well, which saves its state and ends
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if status != 0:
        raise InputError(f"`{command_text}` ended with status {status}: {last[0] if last else 'it printed nothing'}")
