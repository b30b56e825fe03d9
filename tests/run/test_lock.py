"""One process at a time has the lock of a run."""

import subprocess
import sys

import pytest

from rl_eval import run
from rl_eval.errors import InputError

HOLD = """
import sys, pathlib
from rl_eval import run
with run.lock(pathlib.Path(sys.argv[1])):
    print(1, flush=True)
    input()
"""


def test_one_process_has_the_lock_and_a_killed_one_has_none(run_directory):
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run_directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "1\n"
    with (
        pytest.raises(InputError, match="run is in use by another process, which trains, verifies or serves it"),
        run.lock(run_directory),
    ):
        pass
    other.kill()
    other.communicate()
    for _ in range(2):  # and it is released at the end
        with run.lock(run_directory):
            pass


def test_a_run_that_cannot_be_written_cannot_be_locked(run_directory):
    (run_directory / "run.lock").mkdir()
    with pytest.raises(InputError, match=r"run\.lock cannot be written"), run.lock(run_directory):
        pass
