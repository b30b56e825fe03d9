"""TensorBoard: scalars by env step, the config as text and hyper-parameters. Needs neither TensorFlow nor torch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rl_eval.dotted_keys import flatten
from rl_eval.extras import require_extra
from rl_eval.tracking._plots import Plot
from rl_eval.tracking.plugin import TrackedRun, TrackerPlugin, TrackerSettings


class TensorBoardSettings(TrackerSettings):
    """`tracker: {name: tensorboard}`: event files in `<run>/tensorboard`."""

    name: Literal["tensorboard"] = "tensorboard"


def check(settings: TensorBoardSettings) -> None:
    """Check that the package is installed.

    Raises:
        InputError: it is not.
    """
    require_extra("tensorboard", "tracker=tensorboard", "tensorboard")


def start(settings: TensorBoardSettings, run: TrackedRun) -> TensorBoardTracker:
    """Open event files in `<run>/tensorboard`."""
    return TensorBoardTracker(run.directory / "tensorboard", run.config)


class TensorBoardTracker:
    """Writes one event per row."""

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
            # TensorBoard then discards later rows of the interrupted run, which are played again.
            session = self._events.SessionLog(status=self._events.SessionLog.START)
            self._writer.add_event(self._events.Event(wall_time=time.time(), step=env_steps, session_log=session))
            self._resumed = False
        self._env_steps = env_steps
        self._write(self._scalars(row))

    def summary(self, values: Mapping[str, Any]) -> None:
        """Numbers as scalars and strings as text, at the last logged step."""
        flat = flatten(values, "/")
        self._write(self._scalars({k: v for k, v in flat.items() if isinstance(v, int | float)}))
        for name, value in flat.items():
            if isinstance(value, str):
                self._write(self._text(name, value))

    def log_plots(self, plots: Sequence[Plot]) -> None:
        """Ignored: TensorBoard draws only scalars, and the report has these plots."""

    def log_files(self, kind: str, files: Mapping[str, Path]) -> None:
        """Ignored: the files are in the run directory."""

    def close(self, status: str) -> None:
        """Flush and close the file."""
        self._write(self._text("status", status))
        self._writer.close()

    def _scalars(self, row: Mapping[str, float]) -> Any:
        value = self._summaries.Summary.Value
        return self._summaries.Summary(value=[value(tag=name, simple_value=float(v)) for name, v in row.items()])

    def _write(self, summary: Any) -> None:
        # Some builders return another copy of the generated class; its bytes fit any copy.
        summary = self._summaries.Summary.FromString(summary.SerializeToString())
        self._writer.add_event(self._events.Event(wall_time=time.time(), step=self._env_steps, summary=summary))


PLUGIN = TrackerPlugin(settings=TensorBoardSettings, start=start, check=check)
