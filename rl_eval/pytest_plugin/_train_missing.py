"""`--rl-train-missing`: run train.py for suites whose runs are missing."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from rl_eval.checkout import is_checkout
from rl_eval.errors import InputError
from rl_eval.formatting import display_text
from rl_eval.override_text import training_command

if TYPE_CHECKING:
    from rl_eval.gates import Suite

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# Training saves its state at a stop signal; it is killed after this time.
_GRACE_S = 60


def train(config: pytest.Config, suite: Suite) -> None:
    """Run the commands that train what a suite judges.

    Raises:
        InputError: this is no checkout, there is no data, or training failed.
    """
    from rl_eval.gates import needs_path, train_arguments, train_command

    if not is_checkout(config.rootpath):
        raise InputError(
            f"--rl-train-missing trains, which needs a checkout of the project, and {config.rootpath} is none: name a "
            "policy or a run with --rl-run"
        )
    if needs_path(suite):
        raise InputError(
            f"{suite.label} needs data, but does not say where it is: name the folder of all data sets with "
            f"--rl-data, or train with `{train_command(suite)}`"
        )
    for arguments in train_arguments(suite):
        _run(config, [sys.executable, str(config.rootpath / "train.py"), *arguments], training_command(arguments))


def _run(config: pytest.Config, command: list[str], command_text: str) -> None:
    """Train in another process, and print its output as it comes.

    SIGINT, SIGTERM and SIGHUP are passed on to it. The session ends when it has ended.

    Raises:
        InputError: it failed; quotes its last line.
        KeyboardInterrupt: after SIGINT.
        pytest.exit.Exception: after SIGTERM or SIGHUP, with 128 plus the number of the signal as exit status.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    last: deque[str] = deque(maxlen=1)
    stops: list[int] = []
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        print(f"\n{display_text(command_text)}", flush=True)
        with _forwarding(stops) as forward_to:
            process = subprocess.Popen(
                command,
                cwd=config.invocation_params.dir,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                process_group=0,  # Ctrl-C reaches it once, from here
            )
            assert process.stdout is not None
            try:
                forward_to(process)
                for line in process.stdout:
                    print(line, end="", flush=True)
                    last.extend([line.strip()] if line.strip() else [])
                status = process.wait()
            except BaseException:
                process.terminate()
                try:
                    process.wait(timeout=_GRACE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
    if stops and stops[0] == signal.SIGINT:
        raise KeyboardInterrupt
    if stops:
        pytest.exit(f"{signal.Signals(stops[0]).name} during `{command_text}`", returncode=128 + stops[0])
    if status != 0:
        raise InputError(f"`{command_text}` ended with status {status}: {last[0] if last else 'it printed nothing'}")


@contextlib.contextmanager
def _forwarding(stops: list[int]) -> Iterator[Callable[[subprocess.Popen[str]], None]]:
    """Inside, stop signals are added to `stops` and passed on to a process.

    A signal that this process ignores, as under `nohup`, stays ignored, and so it does in the other one.

    Yields:
        Names the process, which also gets the signals so far. It is killed `_GRACE_S` after the first.
    """
    receivers: list[subprocess.Popen[str]] = []
    timers: list[threading.Timer] = []

    def send(process: subprocess.Popen[str], number: int) -> None:
        process.send_signal(number)
        if not timers:
            timers.append(threading.Timer(_GRACE_S, process.kill))
            timers[0].daemon = True
            timers[0].start()

    def receive(number: int, frame: Any) -> None:
        stops.append(number)
        for process in receivers:
            send(process, number)

    def forward_to(process: subprocess.Popen[str]) -> None:
        receivers.append(process)
        for number in stops[:1]:
            send(process, number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    handled = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, receive) for number in handled} if in_main_thread else {}
    try:
        yield forward_to
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer in timers:
            timer.cancel()
