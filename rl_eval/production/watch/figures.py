"""`read_figures`: everything that the status page and the metrics show, read once from the parts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_eval.cost import Cost
from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.audit.entries import MAX_LINE, Entry, parse
from rl_eval.production.canary.controller import ROLLED_BACK
from rl_eval.production.canary.row import Row
from rl_eval.production.clock_check import ClockError, check_clock
from rl_eval.production.disk import Disk, disk_of
from rl_eval.production.heartbeats import GONE_S, Alive, Kind, read_alive
from rl_eval.production.parts import Parts
from rl_eval.production.recording import NotRecording, read_not_recording
from rl_eval.production.registry import CHALLENGER, CHAMPION
from rl_eval.production.review_queue import Review
from rl_eval.production.serving_cost import rate_of, read_served
from rl_eval.production.store import Training
from rl_eval.production.store.ingest import OUTSIDE_BOUNDS
from rl_eval.production.triggers import DOCUMENT as TRIGGERS
from rl_eval.untrusted_files import only_regular

# Documents that the control loop writes.
DRIFT, EVIDENCE, IMPROVEMENT, BOUND = "drift", "evidence", "improvement", "review_bound"
PARTS = ("store", "queue", "registry", "audit")
SHOWN_VERSIONS, SHOWN_TRAININGS, SHOWN_LINES, SHOWN_REVIEWS = 12, 8, 20, 25


@dataclass
class VersionFigures:
    """A version of the registry, as a table shows it; `decision` is that of its proof."""

    number: int
    at: str
    policy: str | None
    parent: int | None
    decision: str | None
    reasons: Sequence[str]
    signed: bool
    cost: Mapping[str, Any]


@dataclass
class Figures:
    """What was read.

    Attributes:
        at: seconds since 1970.
        faults: part -> why it could not be read.
        disks: embedded part -> its disk.
        alive: kind of process -> how many are alive, and the latest sign of life; empty where it is not known.
        not_recording: servers that decide without recording.
        clock: why the clock may be wrong; empty where it may be right.
        aliases: alias -> number.
        counts: what was collected since the store began, by name.
        queue_messages, queue_since: not acknowledged ones, and when the oldest was put in.
        waiting: accepted experience that no training has.
        due: why a training is due that has not begun; None: none is.
        drift, bound: documents of the control loop; empty where there are none.
        evidence: what the roll-out was decided on, the newest last.
        improvement: each champion against the first on a fixed reference set, the first first.
        reviews: state -> how many; at most `most_reviews` wait.
        thousand: what 1,000 decisions cost; None before there is one.
        rolled_back: number of a version that was, as text -> why.
        lines: of the audit log, the newest first; `audit_lines`: how many there are.
    """

    name: str
    at: float
    faults: dict[str, str] = field(default_factory=dict)
    disks: dict[str, Disk] = field(default_factory=dict)
    alive: Mapping[Kind, Alive] = field(default_factory=dict)
    not_recording: Sequence[NotRecording] = ()
    clock: str = ""
    aliases: Mapping[str, int] = field(default_factory=dict)
    versions: list[VersionFigures] = field(default_factory=list)
    rollout: Row = field(default_factory=Row)
    counts: Mapping[str, int] = field(default_factory=dict)
    queue_messages: int | None = None
    queue_since: float | None = None
    waiting: int | None = None
    due: str | None = None
    trainings: Sequence[Training] = ()
    drift: Mapping[str, Any] = field(default_factory=dict)
    bound: Mapping[str, Any] = field(default_factory=dict)
    evidence: Sequence[Mapping[str, Any]] = ()
    improvement: Sequence[Mapping[str, Any]] = ()
    reviews: Mapping[str, int] = field(default_factory=dict)
    most_reviews: int = 0
    reviewed: Sequence[Review] = ()
    thousand: Cost | None = None
    rolled_back: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[Entry] = ()
    audit_lines: int | None = None

    @property
    def champion(self) -> int | None:
        """The number of the version that serves."""
        return self.aliases.get(CHAMPION)

    @property
    def challenger(self) -> int | None:
        """The number of the version that is rolled out."""
        return self.aliases.get(CHALLENGER)

    @property
    def gone(self) -> list[Kind]:
        """The kinds of process of which none is alive."""
        return [kind for kind, alive in self.alive.items() if alive.age is None or alive.age >= GONE_S]

    @property
    def full(self) -> list[str]:
        """The embedded parts whose disk is full."""
        return [part for part, disk in self.disks.items() if disk.is_full]

    @property
    def refused(self) -> dict[str, int]:
        """Reason -> how much experience was refused for it."""
        return {name.partition(".")[2]: n for name, n in self.counts.items() if name.startswith("refused.") and n}

    @property
    def outside_bounds(self) -> int:
        """How many rewards were outside `rollout.low` and `rollout.high`, since the store began."""
        return self.counts.get(OUTSIDE_BOUNDS, 0)

    @property
    def queue_age(self) -> float | None:
        """Seconds that the oldest message waits; 0 where none does, None where the queue does not say."""
        if self.queue_messages == 0:
            return 0.0
        return None if self.queue_since is None else max(self.at - self.queue_since, 0.0)


def read_figures(parts: Parts, now: float) -> Figures:
    """Read every part; one that is away is among the `faults`.

    Args:
        now: seconds since 1970.
    """
    figures = Figures(parts.config.name, now, most_reviews=parts.config.loop.most_reviews)
    figures.disks = {part: disk for part, path in parts.embedded.items() if (disk := disk_of(path)) is not None}
    with _fault(figures, "store"):
        store = parts.store
        figures.counts, figures.waiting = store.counts(), store.waiting()
        figures.rollout = Row.parse(store.document().body)
        figures.trainings = store.trainings(SHOWN_TRAININGS)
        figures.due = store.document(TRIGGERS).body.get("due")
        figures.thousand = read_served(store).cost_per_thousand(rate_of(parts.config.serve))
        figures.drift, figures.bound = store.document(DRIFT).body, store.document(BOUND).body
        figures.evidence = store.document(EVIDENCE).body.get("looks", [])
        figures.improvement = store.document(IMPROVEMENT).body.get("champions", [])
        figures.rolled_back = store.document(ROLLED_BACK).body
        figures.reviews = review_queue.counts(store)
        figures.reviewed = review_queue.waiting(store, SHOWN_REVIEWS)
        figures.alive = read_alive(store)
        figures.not_recording = read_not_recording(store, now)
        try:
            check_clock(store, now, parts.config.privacy.retention)
        except ClockError as error:
            figures.clock = str(error)
    with _fault(figures, "queue"):
        figures.queue_messages, figures.queue_since = parts.queue.waiting()
    with _fault(figures, "registry"):
        figures.aliases = parts.registry.aliases()
        figures.versions = _versions(parts, figures.aliases)
    with _fault(figures, "audit"):
        figures.lines = audit_tail(parts.audit.path)
        figures.audit_lines = figures.lines[0].number if figures.lines else 0
    return figures


@contextlib.contextmanager
def _fault(figures: Figures, part: str) -> Iterator[None]:
    try:
        yield
    except (InputError, OSError) as error:
        figures.faults[part] = str(error)


def _versions(parts: Parts, aliases: Mapping[str, int]) -> list[VersionFigures]:
    numbers = sorted({*parts.registry.versions()[-SHOWN_VERSIONS:], *aliases.values()}, reverse=True)
    rows = []
    for number in numbers:
        version = parts.registry.version(number)
        lineage = version.lineage
        proof = lineage.verdict.get("proof", lineage.verdict)
        decision, reasons = proof.get("decision"), lineage.verdict.get("reasons", ())
        signed = version.signature is not None
        rows.append(
            VersionFigures(number, version.at, lineage.policy, lineage.parent, decision, reasons, signed, lineage.cost)
        )
    return rows


def audit_tail(path: Path, lines: int = SHOWN_LINES) -> list[Entry]:
    """The last lines of an audit log, the newest first; each is checked in itself.

    Raises:
        InputError: a line was changed.
        OSError: the log cannot be read.
    """
    try:
        with open(path, "rb", opener=only_regular) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - lines * 4096 - MAX_LINE))
            content = file.read()
    except FileNotFoundError:
        return []
    whole = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    if len(content) < size:
        whole = whole[1:]
    try:
        return [parse(line) for line in reversed(whole[-lines:])]
    except ValueError as error:
        raise InputError(f"{path}: a line was changed ({error}): run `rl-eval audit verify {path}`") from error
