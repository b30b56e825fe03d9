"""Ctrl-C, SIGTERM and SIGHUP are honoured within a second, whatever the process is doing, and leave nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from rl_eval import stop_signals
from rl_eval.stop_signals import interruptible, stop_requests
from tests.training.learn import ROOT


def _signal_and_sleep(number):
    """Receive a signal, and then wait in a system call, which only a real signal ends."""
    os.kill(os.getpid(), number)
    time.sleep(600)


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_interrupt_and_handlers_are_put_back(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible():
        _signal_and_sleep(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_lets_an_iteration_end_and_the_second_does_not(number, monkeypatch):
    monkeypatch.setattr(stop_signals, "GRACE_S", 600.0)
    with stop_requests() as requested:
        assert not requested()
        signal.raise_signal(number)
        assert requested()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_an_iteration_that_does_not_end_is_interrupted(monkeypatch):
    monkeypatch.setattr(stop_signals, "GRACE_S", 0.01)
    with pytest.raises(KeyboardInterrupt), stop_requests():
        _signal_and_sleep(signal.SIGTERM)


def test_a_stop_that_is_noticed_is_not_followed_by_an_interrupt(monkeypatch):
    monkeypatch.setattr(stop_signals, "GRACE_S", 0.01)
    with stop_requests() as requested:
        with interruptible():  # as a command that calls train() does
            monkeypatch.setattr(stop_signals, "GRACE_S", 600.0)
            signal.raise_signal(signal.SIGTERM)
            assert requested()
        monkeypatch.setattr(stop_signals, "GRACE_S", 0.01)
        time.sleep(0.1)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_is_changed():
    seen = []

    def run():
        with stop_requests() as requested:
            seen.append((requested(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(False, signal.getsignal(signal.SIGTERM))]


def test_native_code_that_does_not_return_ends_with_the_process(tmp_path):
    """A mutex is waited for in C, in a call that no signal ends, as a product of large matrices is computed."""
    code = """
        import ctypes, sys
        from pathlib import Path
        from rl_eval.stop_signals import interruptible
        libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
        with interruptible(), interruptible(last_act=lambda: Path(sys.argv[1]).write_text("left")), interruptible():
            libc.pthread_mutex_lock(mutex)
            try:
                print("ready", flush=True)
                libc.pthread_mutex_lock(mutex)  # waits for ever
            finally:  # the first signal came before
                libc.pthread_mutex_lock(mutex)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "last_act")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(2)
    assert process.returncode == stop_signals.STATUS
    assert (tmp_path / "last_act").read_text() == "left"
