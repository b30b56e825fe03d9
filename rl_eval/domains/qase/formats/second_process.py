"""Read half of many result files in a second process: a million results take one core half a minute.

It is a subprocess because `multiprocessing` would import the main module again. If it cannot read its half (an invalid
file, cases among the results), the first process reads that half too and reports any error.
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

MIN_BYTES = 64 << 20  # below this, starting a process takes longer than it saves


class SecondProcess:
    """A process that reads some result files; end it with `close`."""

    def __init__(self, files: Sequence[Path]):
        root = str(Path(__file__).resolve().parents[4])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rl_eval.domains.qase.formats.second_process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has already ended; its exit status is read later
            self._process.stdin.write(json.dumps([str(file) for file in files]).encode())
            self._process.stdin.close()

    def result(self) -> ResultsChunk | None:
        """Wait for the results it read; None if it failed."""
        assert self._process.stdout is not None
        output = self._process.stdout.read()
        if self._process.wait() != 0:
            return None
        header, _, columns = output.partition(b"\n")
        with np.load(io.BytesIO(columns), allow_pickle=False) as arrays:
            return ResultsChunk(json.loads(header), {name: arrays[name] for name in arrays.files})

    def close(self) -> None:
        """End the process if it is still running."""
        self._process.kill()
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process.wait()


def second_half_start(files: Sequence[Path]) -> int:
    """Index where the second half begins; the number of files if a second process is not worth it."""
    sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
    if sum(sizes) < MIN_BYTES or (os.cpu_count() or 1) < 2:
        return len(files)
    return int(np.searchsorted(np.cumsum(sizes), sum(sizes) / 2)) + 1


def main() -> None:
    """Read the files named on standard input and write their results to standard output."""
    chunk = read_results_only([Path(name) for name in json.load(sys.stdin)])
    if chunk is None:
        sys.exit(1)
    columns = io.BytesIO()
    np.savez(columns, **chunk.arrays)  # type: ignore[arg-type]
    sys.stdout.buffer.write(json.dumps(chunk.header).encode() + b"\n" + columns.getbuffer())


if __name__ == "__main__":
    main()
