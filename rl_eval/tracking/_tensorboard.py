"""TensorBoard: scalars by env step, config as text and hyper-parameters. Uses neither TensorFlow nor torch."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.dotted_keys import flatten
from rl_eval.errors import InputError
from rl_eval.tracking._plots import Plot


def check() -> None:
    """Refuse when the package is missing.

    Raises:
        InputError: it is.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("tracker=tensorboard needs its package: `pip install tensorboard`, or tracker=none")


def start(*, run_dir: Path, config: Mapping[str, Any]) -> TensorBoard:
    """Open event files in `<run_dir>/tensorboard`."""
    return TensorBoard(run_dir / "tensorboard", config)


class TensorBoard:
    """Writes one event a row."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.plugins.text.summary_v2 import text_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._events, self._summaries, self._text = event_pb2, summary_pb2, text_pb
        self._resumed = any(folder.glob("events.out.tfevents.*"))
        self._env_steps = 0
        self._writer = EventFileWriter(str(folder), flush_secs=10)
        flat = flatten(config)
        if not self._resumed:
            self._write(
                hparams_pb({k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat.items()})
            )
            self._write(text_pb("config", "".join(f"    {key}: {value}\n" for key, value in flat.items())))

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """Scalars at `env_steps`."""
        if self._resumed:
            # Tells TensorBoard to forget what an interrupted run logged from here on: it is played again.
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            self._writer.add_event(self._events.Event(wall_time=time.time(), step=env_steps, session_log=start))
            self._resumed = False
        self._env_steps = env_steps
        self._write(self._scalars(row))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Numbers as scalars and words as text, at the last step logged."""
        flat = flatten(values, "/")
        self._write(self._scalars({k: v for k, v in flat.items() if isinstance(v, int | float)}))
        for name, value in flat.items():
            if isinstance(value, str):
                self._write(self._text(name, value))

    def draw(self, plots: Sequence[Plot]) -> None:
        """Nothing: TensorBoard draws scalars alone, and the report has these plots."""

    def keep(self, kind: str, files: Mapping[str, Path]) -> None:
        """Nothing: the files lie beside its own."""

    def close(self, status: str) -> None:
        """Flush and close the file."""
        self._write(self._text("status", status))
        self._writer.close()

    def _scalars(self, row: Mapping[str, float]) -> Any:
        value = self._summaries.Summary.Value
        return self._summaries.Summary(value=[value(tag=name, simple_value=float(v)) for name, v in row.items()])

    def _write(self, summary: Any) -> None:
        # Some builders return another copy of the generated class, so go through the bytes.
        summary = self._summaries.Summary.FromString(summary.SerializeToString())
        self._writer.add_event(self._events.Event(wall_time=time.time(), step=self._env_steps, summary=summary))
