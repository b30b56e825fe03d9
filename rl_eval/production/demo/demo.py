"""`run_demo`: one champion, two periods of traffic, a training, a roll-out, a bad candidate, and people."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rl_eval import run as runs
from rl_eval.errors import InputError
from rl_eval.net import Url
from rl_eval.production import review_queue
from rl_eval.production.audit import verify
from rl_eval.production.collector import Collector
from rl_eval.production.config import load_config
from rl_eval.production.demo.traffic import Traffic
from rl_eval.production.loop.loop import Loop
from rl_eval.production.loop.versions import champion_of, register_run
from rl_eval.production.parts import Parts, open_parts
from rl_eval.production.queues import open_queue
from rl_eval.production.registry import CHALLENGER
from rl_eval.production.store import Store
from rl_eval.production.watch.overrides import record_override

FIRST_DECISIONS, SECOND_DECISIONS = 800, 2_400
PER_TURN = 96  # decisions between two turns of the loop
MOST_TURNS = 400  # of a roll-out
START_S = 60.0
REVIEWED = 3  # decisions that the demo's person decides


@dataclass
class Chapter:
    """A part of the story: what happened, in sentences and figures."""

    title: str
    text: str
    figures: list[tuple[str, Any]] = field(default_factory=list)
    rewards: np.ndarray = field(default_factory=lambda: np.zeros(0))


@dataclass
class Story:
    """All of it, and how long it took."""

    chapters: list[Chapter] = field(default_factory=list)
    seconds: float = 0.0
    audit_lines: int = 0
    faults: tuple[str, ...] = ()


def run_demo(
    champion: runs.Run,
    periods: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    folder: Path,
    say: Callable[[str], Any],
) -> Story:
    """Play the demo in a new folder.

    Args:
        champion: a finished run.
        periods: environments of two periods of traffic.
        values: of the production config.
        folder: exists, and has no production config yet.
        say: prints a line.

    Raises:
        InputError: something of it failed; says what.
    """
    file = folder / "production.yaml"
    file.write_text(yaml.safe_dump(dict(values), sort_keys=False))
    config, started, story = load_config(file), time.monotonic(), Story()
    preprocessing = runs.read_preprocessing(champion)
    with open_parts(config) as parts:
        version, _ = register_run(parts, champion.path, "demo", "champion")
        say(f"version {version.number} is the first champion, policy {version.lineage.policy}")
        with _server(file) as address, _collector(parts), _clients(address, periods, preprocessing) as clients:
            loop = Loop(parts, say)
            for chapter in (_first_period, _drift, _roll_out, _bad_candidate, _people):
                played = chapter(parts, loop, clients)
                story.chapters.append(played)
                say(f"{played.title}: {played.text}")
                if chapter is _drift:  # one training is enough of a story
                    loop = Loop(_triggered_by(parts, drift=False), say)
        checked = verify(parts.audit.path)
    story.audit_lines, story.faults = checked.head.lines, checked.faults
    story.seconds = time.monotonic() - started
    return story


@contextlib.contextmanager
def _server(file: Path) -> Iterator[Url]:
    """A production server as a process of its own; where it listens."""
    command = [sys.executable, "-m", "rl_eval.cli", "production", "serve", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if "http://" not in line:
            raise InputError("the server of the demo did not start: its sentence is above")
        host, _, port = line.split()[0].removeprefix("http://").rpartition(":")
        yield Url("http", host, int(port))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@contextlib.contextmanager
def _collector(parts: Parts) -> Iterator[None]:
    stop, config = threading.Event(), parts.config
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(Store(config.collect.store, parts.folder)))
        queue = stack.enter_context(contextlib.closing(open_queue(config.collect, parts.folder)))
        thread = threading.Thread(target=Collector(config, store, queue).run, args=(stop, 0.1), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(5.0)


@contextlib.contextmanager
def _clients(
    address: Url, periods: Sequence[Mapping[str, Any]], preprocessing: Mapping[str, Any] | None
) -> Iterator[list[Traffic]]:
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.closing(Traffic(address, env, preprocessing, f"period{number}")))
            for number, env in enumerate(periods, 1)
        ]


def _settle(parts: Parts, decisions: int) -> None:
    """Wait until the collector has stored so many decisions and their rewards."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        counts = parts.store.counts()
        if min(counts.get("decisions", 0), counts.get("rewards", 0)) >= decisions:
            return
        time.sleep(0.05)
    raise InputError(f"the collector has not stored {decisions:,} decisions within {START_S:g} s: the machine is busy")


def _sent(clients: Sequence[Traffic]) -> int:
    return sum(client.sent for client in clients)


def _first_period(parts: Parts, loop: Loop, clients: Sequence[Traffic]) -> Chapter:
    """The first training is started by a count, so that the second one has an earlier period to forget."""
    client = clients[0]
    client.send(FIRST_DECISIONS)
    _settle(parts, client.sent)
    counts = parts.store.counts()
    turn = Loop(_triggered_by(parts, experiences=FIRST_DECISIONS, drift=False), lambda _: None).turn()
    if turn.trained is None:
        raise InputError(f"no training was due: {turn.failures.get('training', 'too little was accepted')}")
    text = (
        f"{client.sent:,} decisions were made, each logged with its propensity before it was answered; their rewards "
        f"came later, by decision id. {counts.get('accepted', 0):,} of them passed the quality filter. As many "
        f"experiences start a training; its candidate, version {turn.trained.version}, is proved: "
        f"{turn.trained.decision}."
    )
    if turn.trained.challenger:
        shares = _watch(parts, loop, client)
        text += (
            f" It is rolled out in {', '.join(f'{share:.0%}' for share in shares)} of the units: "
            f"{loop.controller.row().outcome}."
        )
    else:
        text += " So it is not rolled out, and the champion stays."
    return Chapter("Served and collected", text, [("mean reward", _mean(client.rewards))], np.array(client.rewards))


def _triggered_by(parts: Parts, **trigger: Any) -> Parts:
    """The same parts with other triggers."""
    changed = parts.config.trigger.model_copy(update=trigger)
    return dataclasses.replace(parts, config=parts.config.model_copy(update={"trigger": changed}))


def _drift(parts: Parts, loop: Loop, clients: Sequence[Traffic]) -> Chapter:
    client = clients[1]
    client.send(SECOND_DECISIONS)
    _settle(parts, _sent(clients))
    before = np.array(client.rewards)
    turn = loop.turn()
    if turn.trained is None:
        raise InputError(f"no training was due: {turn.failures.get('training', 'nothing has drifted')}")
    version = parts.registry.version(turn.trained.version)
    training = parts.store.trainings(1)[0]
    features = parts.store.document("drift").body.get("features", [])
    names = ", ".join(str(feature["name"]) for feature in features[:3])
    text = (
        f"The traffic changes. {len(features)} features drift (the furthest: {names}), which fires the trigger "
        f"“{training.kind}”. A candidate learns from {training.experiences:,} logged experiences, less those held out, "
        f"with its weights held by EWC. Then it is proved: {turn.trained.decision}."
    )
    figures: list[tuple[str, Any]] = [("mean reward of the champion on it", _mean(client.rewards))]
    for finding in version.lineage.verdict["proof"]["findings"]:
        figures.append((finding["part"], f"{finding['decision']}: {finding['reason']}"))
    figures.append(("training", f"{version.lineage.cost['wall_s']:.1f} s"))
    if not turn.trained.challenger:
        raise InputError(f"the candidate was not rolled out: {turn.trained.sentence}")
    return Chapter("Drift, training and proof", text, figures, before)


def _roll_out(parts: Parts, loop: Loop, clients: Sequence[Traffic]) -> Chapter:
    client, first, began = clients[1], len(clients[1].rewards), time.monotonic()
    shares = _watch(parts, loop, client)
    row = loop.controller.row()
    if parts.registry.aliases().get(CHALLENGER) is not None or "promoted" not in row.outcome:
        raise InputError(f"the roll-out did not end with a promotion: {row.outcome or row.state}")
    decided = len(client.rewards) - first
    client.send(10 * PER_TURN)
    after = np.array(client.rewards[-10 * PER_TURN :])
    text = (
        f"The challenger got {', '.join(f'{share:.0%}' for share in shares)} of the units, each unit always the same "
        f"version. After {decided:,} decisions and {time.monotonic() - began:.0f} s it is the champion: {row.outcome}."
    )
    return Chapter("Rolled out", text, [("mean reward afterwards", float(after.mean()))], np.array(client.rewards))


def _watch(parts: Parts, loop: Loop, client: Traffic) -> list[float]:
    """Turn while a roll-out runs; the shares of its steps."""
    shares: list[float] = []
    for _ in range(MOST_TURNS):
        client.send(PER_TURN)
        loop.turn()
        row = loop.controller.row()
        if row.state in ("canary", "full") and row.share not in shares:
            shares.append(row.share)
        if row.state == "idle" and parts.registry.aliases().get(CHALLENGER) is None:
            return shares
    raise InputError(f"the roll-out has not ended after {MOST_TURNS} turns: {loop.controller.row().reason}")


def _bad_candidate(parts: Parts, loop: Loop, clients: Sequence[Traffic]) -> Chapter:
    client, first, began = clients[1], len(clients[1].rewards), time.monotonic()
    number, run, _ = champion_of(parts)
    bad, _ = register_run(parts, worst_of(run, parts.folder / "bad"), "somebody", CHALLENGER)
    shares = _watch(parts, loop, client)
    row = loop.controller.row()
    aliases = dict(parts.registry.aliases())
    if "rolled back" not in row.outcome or aliases != {"champion": number}:
        raise InputError(f"the bad candidate was not rolled back: {row.outcome}")
    hit = client.versions[first:].count(str(bad.number))
    text = (
        f"Somebody registers a version without a proof, which prefers what the champion avoids. It got "
        f"{', '.join(f'{share:.0%}' for share in shares)} of the units and made {hit:,} decisions in "
        f"{time.monotonic() - began:.0f} s before it was rolled back: {row.outcome}. The champion is version {number}."
    )
    return Chapter("A bad candidate", text, [("decisions that it made", hit)], np.array(client.rewards[first:]))


def worst_of(run: runs.Run, directory: Path) -> Path:
    """A copy of a run whose policy prefers what the original avoids: its outputs negated."""
    arrays, meta = runs.read_checkpoint(run.judged_snapshot(), "policy")
    outputs = (int(meta["action_space"].get("n", 0)),)
    changed = {name: -np.array(value) if value.shape[:1] == outputs else value for name, value in arrays.items()}
    snapshot = run.judged_snapshot().relative_to(run.path)
    runs.write_checkpoint(directory / snapshot, "policy", changed, {k: v for k, v in meta.items() if k != "sha256"})
    for name in ("config.yaml", "preprocessing.json"):
        if (run.path / name).is_file():
            (directory / name).write_bytes((run.path / name).read_bytes())
    runs.write_json(directory / "run.json", {**run.info, "name": "bad"})
    return directory


def _people(parts: Parts, loop: Loop, clients: Sequence[Traffic]) -> Chapter:
    client = clients[1]
    turn = loop.turn()
    client.send(4 * PER_TURN)
    _settle(parts, _sent(clients))
    turn = loop.turn()
    counts = review_queue.counts(parts.store)
    bound = parts.store.document("review_bound").body
    if not bound or not counts.get(review_queue.WAITING):
        raise InputError(f"nothing went to review: {turn.failures.get('review', 'every decision was confident')}")
    _, _, source = champion_of(parts)
    for review in review_queue.waiting(parts.store, REVIEWED):
        values = {"decision_id": review.decision_id, "action": 0, "reviewer": "demo", "reason": "looked at"}
        record_override(parts, values, time.time(), source.policy.actions or 0)
    counts = review_queue.counts(parts.store)
    text = (
        f"A bound on confidence was calibrated on {bound['decisions']:,} decisions of the champion whose outcome is "
        f"known, so that of what it decides alone at most {bound['error']:.0%} is wrong. "
        f"{sum(counts.values()):,} decisions that were not above it went to a person, who has decided "
        f"{counts.get(review_queue.DECIDED, 0)} of them; what a person decides counts."
    )
    alone = f"{bound['alone']:,}, of which {bound['wrong']:,} were wrong"
    return Chapter("People", text, [("decided alone in calibration", alone)])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
