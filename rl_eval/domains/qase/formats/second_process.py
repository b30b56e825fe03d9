"""Half of many result files read by a second process, since a million results take one processor half a minute.

It is a process of its own rather than `multiprocessing`, which imports the main module again. Whatever keeps it from
reading its half (a fault in a file, cases among the results), the other process reads that half as well, and says so.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl_eval.domains.qase.formats.recognise import read_results_only
from rl_eval.domains.qase.model.results import ResultsChunk

MIN_BYTES = 64 << 20  # below, starting a process takes longer than it saves


class SecondProcess:
    """A process that reads some files; end it by `close`."""

    def __init__(self, files: Sequence[Path]):
        root = str(Path(__file__).resolve().parents[4])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rl_eval.domains.qase.formats.second_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone already, and its exit status says so
            self._process.stdin.write(json.dumps([str(file) for file in files]).encode())
            self._process.stdin.close()

    def result(self) -> ResultsChunk | None:
        """What it read, once it has; None where it could not."""
        assert self._process.stdout is not None
        told = self._process.stdout.read()
        if self._process.wait() != 0:
            return None
        words, _, columns = told.partition(b"\n")
        with np.load(io.BytesIO(columns), allow_pickle=False) as arrays:
            return ResultsChunk(json.loads(words), {name: arrays[name] for name in arrays.files})

    def close(self) -> None:
        """End it, if it still reads."""
        self._process.kill()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()


def second_half_start(files: Sequence[Path]) -> int:
    """Where the half begins that a second process is to read; the number of files where it is not worth one."""
    sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
    if sum(sizes) < MIN_BYTES or (os.cpu_count() or 1) < 2:
        return len(files)
    return int(np.searchsorted(np.cumsum(sizes), sum(sizes) / 2)) + 1


def main() -> None:
    """Read the files that are named on standard input, and write what they hold to standard output."""
    part = read_results_only([Path(name) for name in json.load(sys.stdin)])
    if part is None:
        sys.exit(1)
    columns = io.BytesIO()
    np.savez(columns, **part.arrays)  # type: ignore[arg-type]
    sys.stdout.buffer.write(json.dumps(part.words).encode() + b"\n" + columns.getbuffer())


if __name__ == "__main__":
    main()
