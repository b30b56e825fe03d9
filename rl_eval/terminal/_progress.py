"""The progress of long work: one line that is redrawn on a terminal, a new line now and then elsewhere."""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import IO

from rich.live import Live
from rich.text import Text

from rl_eval.formatting import clock, compact, number
from rl_eval.terminal._console import console_for, is_terminal, printable

REFRESH = 0.25  # seconds between two drawings on a terminal
PLAIN_EVERY = 10.0  # seconds between two lines elsewhere
RATE_WINDOW = 30.0  # seconds that the rate is measured over, so that pauses such as validation count with their share
MIN_RATE_SPAN = 1.0  # seconds; a rate over less is noise
MIN_BAR, MAX_BAR = 10, 40  # columns


class ProgressLine:
    """Shows how far the work is, how fast it goes and when it will end. Drawn only by `update` and `episodes`.

        with ProgressLine(200_000, "ppo, seed 1") as progress:
            progress.update(4_096, episode_return_mean=12.5)

    Args:
        total: all env steps, or None for work that counts only episodes.
        label: names the work.
        start: env steps of a resumed run so far.
        unit: of the work that `update` counts.
        may_end_early: whether the work can end before `total`; the time left is then an upper limit.
        stream: stderr by default.
        live: whether to move the cursor; the default is yes where the stream is a terminal and this is not a child
            process (parallel jobs share a terminal, and would overwrite each other's line).
        clock: seconds, monotonic.

    Attributes:
        outcome: the word for how the work ended, if it did not raise.
    """

    def __init__(
        self,
        total: int | None,
        label: str,
        *,
        start: int = 0,
        unit: str = "env steps",
        may_end_early: bool = False,
        stream: IO[str] | None = None,
        live: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._console = console_for(stream, stderr=True)
        main_process = multiprocessing.parent_process() is None
        self._redraw = main_process and is_terminal(self._console.file) if live is None else live
        self._live: Live | None = None
        self._clock, self._label = clock, label
        self._started = self._last_drawn = clock()
        self._drawings = 0
        self._unit, self._may_end_early = unit, may_end_early
        self.outcome = "done"
        self._note = ""
        self._return: float | None = None
        self._score: float | None = None
        self._restart(total, start)

    def __enter__(self) -> ProgressLine:
        self._started = self._clock()
        self._restart(self._total, self._first_done)
        if self._redraw:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                # Results that go to a file must not appear on the terminal, nor a test's stderr in its stream.
                redirect_stdout=self._console.file is sys.stderr and is_terminal(sys.stdout),
                redirect_stderr=self._console.file is sys.stderr,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end = self.outcome if kind is None else "interrupted" if issubclass(kind, KeyboardInterrupt) else "stopped"
        line = self._line(end=f"{end} in {clock(self._clock() - self._started)}")
        if self._live is not None:
            self._live.update(line, refresh=True)
            self._live.stop()
            self._live = None
        else:
            self._console.print(line, soft_wrap=True)

    def update(
        self,
        env_steps: int,
        *,
        episode_return_mean: float | None = None,
        validation_score: float | None = None,
        note: str = "",
    ) -> None:
        """Training has taken `env_steps` so far. Cheap enough for every iteration."""
        self._return, self._score, self._note = episode_return_mean, validation_score, note
        self._advance(env_steps)

    def work(self, done: int, total: int, *, note: str = "") -> None:
        """Work whose size was not known before is at `done` of `total`."""
        if self._total is None:
            self._restart(total, 0)
        self._note = note
        self._advance(done)

    def episodes(self, done: int, total: int, *, label: str | None = None) -> None:
        """Judging has played `done` of `total` episodes."""
        if self._unit != "episodes" or total != self._total or done < self._done or label not in (None, self._label):
            self._unit, self._label, self._may_end_early = "episodes", label or self._label, True
            self._return = self._score = None
            self._note = ""
            self._restart(total, 0)
        self._advance(done)

    def _restart(self, total: int | None, done: int) -> None:
        self._total, self._done, self._first_done = total, done, done
        # Empty until the first report: what comes before it, such as loading data, says nothing about the rate.
        self._recent: deque[tuple[float, int]] = deque()

    def _advance(self, done: int) -> None:
        now = self._clock()
        self._done = done
        self._recent.append((now, done))
        # Keep one point from before the window, so that the rate always spans it.
        while len(self._recent) > 2 and now - self._recent[1][0] >= RATE_WINDOW:
            self._recent.popleft()
        if self._live is not None:
            if now - self._last_drawn >= REFRESH or not self._drawings:
                self._live.update(self._line(), refresh=True)
                self._last_drawn, self._drawings = now, self._drawings + 1
        elif now - self._last_drawn >= PLAIN_EVERY or not self._drawings:
            self._console.print(self._line(), soft_wrap=True)
            self._last_drawn, self._drawings = now, self._drawings + 1

    def _rate(self) -> float:
        """Units per second, recently; NaN before there is a rate."""
        if not self._recent:
            return math.nan
        (then, before), (now, done) = self._recent[0], self._recent[-1]
        return (done - before) / (now - then) if now - then >= MIN_RATE_SPAN else math.nan

    def _parts(self, end: str) -> dict[str, str]:
        """The parts of the line, in order."""
        parts = {}
        # The speed of the whole is in run.json: here, the time of loading and validation would be part of it.
        rate, unit = math.nan if end else self._rate(), self._unit.removeprefix("env ")
        if self._total or self._done:
            count = "{:,}".format if self._live is None else compact
            of_total = f"/{count(self._total)}" if self._total and not (end and self._done >= self._total) else ""
            # A redrawn line is short, and its speed names the unit.
            unit_text = f" {self._unit}" if self._live is None or end or not rate > 0 else ""
            parts["done"] = f"{count(self._done)}{of_total}{unit_text}"
        if rate > 0:
            parts["speed"] = f"{number(rate, 2)} {unit}/s"
        for name, value in (("return", self._return), ("score", self._score)):
            if value is not None and not math.isnan(value):
                parts[name] = f"{name} {number(float(value))}"
        if end:
            parts["end"] = end
        elif self._total and rate > 0:
            left = clock(max(self._total - self._done, 0) / rate)
            parts["eta"] = f"at most {left} left" if self._may_end_early else f"ETA {left}"
        if self._note:
            parts["note"] = self._note
        return parts

    def _line(self, end: str = "") -> Text:
        ascii_only = self._console.options.ascii_only
        label = printable(self._label, ascii_only=ascii_only)
        parts = {part: printable(text, ascii_only=ascii_only) for part, text in self._parts(end).items()}
        all_parts = len(parts)
        if self._live is None:
            return Text(f"{label}: {', '.join(parts.values())}")
        # One column stays free, since some terminals wrap at the last one.
        width = self._console.width - 1 - len(label)
        for name in ("note", "score", "speed", "return", "eta"):
            if sum(2 + len(part) for part in parts.values()) <= width:
                break
            parts.pop(name, None)
        line = Text(no_wrap=True, overflow="crop", end="")
        line.append(label, "bold")
        bar = min(width - sum(2 + len(part) for part in parts.values()) - 2, MAX_BAR)
        if bar >= MIN_BAR and self._total and not end and len(parts) == all_parts:
            full = round(bar * min(max(self._done / self._total, 0.0), 1.0))
            line.append("  ").append(printable("━" * full, ascii_only=ascii_only), "green")
            line.append(printable("─" * (bar - full), ascii_only=ascii_only), "dim")
        line.append("".join("  " + part for part in parts.values()))
        line.truncate(self._console.width - 1, overflow="crop")
        return line


class QuietProgress:
    """A progress line that appears only where the work takes longer than a second."""

    def __init__(self, label: str, *, unit: str, after: float = 1.0, clock: Callable[[], float] = time.monotonic):
        self._label, self._unit, self._after, self._clock = label, unit, after, clock
        self._line: ProgressLine | None = None
        self._started = clock()

    def __enter__(self) -> QuietProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._line is not None:
            self._line.__exit__(kind, error, traceback)

    def update(self, done: int, total: int) -> None:
        """`done` of `total` are done; at the last one the line ends."""
        if self._line is None:
            if self._clock() - self._started < self._after:
                return
            self._line = ProgressLine(total, self._label, start=done, unit=self._unit, clock=self._clock).__enter__()
        self._line.update(done)
        if done >= total:  # what follows is something else
            self.__exit__(None, None, None)
            self._line = None
