"""`run_demo`: four days of production in two minutes, in chapters. A chapter that goes wrong says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rl_eval import run as runs
from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.audit import verify
from rl_eval.production.config import load_config
from rl_eval.production.demo.bad_policy import worst_of
from rl_eval.production.demo.simulated_clock import SimulatedClock
from rl_eval.production.demo.simulation import Journal, Simulation, simulation
from rl_eval.production.loop.training import Trained
from rl_eval.production.loop.versions import champion_of, register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.registry import CHALLENGER
from rl_eval.production.watch.overrides import record_override

CALM, BUSY, BUSIEST = 8, 32, 48  # decisions of a tick
MOST_TICKS = 400  # of a chapter
AFTERWARDS = 24  # ticks between two chapters
REVIEWED = 3  # decisions that the demo's person decides

Periods = Sequence[Mapping[str, Any]]


@dataclass
class Chapter:
    """A part of the story.

    Attributes:
        begins, ends: hours since the start.
        figures: names and values of a table.
    """

    title: str
    text: str
    figures: list[tuple[str, Any]]
    begins: float
    ends: float


@dataclass
class Story:
    """All of it.

    Attributes:
        seconds: it took.
        faults: of the audit log.
    """

    chapters: list[Chapter] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal)
    seconds: float = 0.0
    audit_lines: int = 0
    faults: tuple[str, ...] = ()


def run_demo(
    champion: runs.Run,
    periods: Periods,
    values: Mapping[str, Any],
    folder: Path,
    seed: int,
    clock: SimulatedClock,
    say: Callable[[str], Any],
) -> Story:
    """Play the demo in a new folder.

    Args:
        champion: a finished run.
        periods: environments of two periods of traffic.
        values: of the production config.
        folder: exists, and has no production config yet.
        seed: of traffic, draws and pseudonyms.
        clock: of all parts.
        say: prints a line.

    Raises:
        InputError: something of it did not go as it should; says what.
    """
    file = folder / "production.yaml"
    file.write_text(yaml.safe_dump(dict(values), sort_keys=False))
    story = Story()
    preprocessing = runs.read_preprocessing(champion)
    with open_parts(load_config(file), clock.now, clock.steady) as parts:
        version, _ = register_run(parts, champion.path, "demo", "champion")
        say(f"version {version.number} is the first champion, policy {version.lineage.policy}")
        with simulation(parts, clock, say, seed) as running:
            for env, name, copies, chapters in (
                (periods[0], "night", CALM, [_calm_day]),
                (periods[0], "day", BUSY, [_first_roll_out]),
                (periods[1], "drifted", BUSIEST, [_drift, _second_roll_out, _bad_candidate, _people]),
            ):
                running.traffic(env, preprocessing, name, copies)
                for play in chapters:
                    _add(story, play(running), say)
            story.journal = running.journal
        checked = verify(parts.audit.path)
    story.audit_lines, story.faults = checked.head.lines, checked.faults
    return story


def _add(story: Story, chapter: Chapter, say: Callable[[str], Any]) -> None:
    story.chapters.append(chapter)
    say(f"{chapter.title}: {chapter.text}")


def _calm_day(running: Simulation) -> Chapter:
    began = running.hours
    trained = _until_trained(running)
    counts = running.parts.store.counts()
    drifted = running.parts.store.document("drift").body.get("features", [])
    text = (
        f"{len(running.journal):,} decisions were served, each logged with its propensity; their rewards followed by "
        f"decision id, and {counts.get('accepted', 0):,} passed the quality filter. "
        f"{len(drifted) or 'No'} feature{' has' if len(drifted) == 1 else 's have'} drifted. The daily training goes "
        f"on from the champion, and its candidate, version {trained.version}, is proved: {trained.decision}."
    )
    return _chapter(running, "A day of traffic", text, began, _of_proof(running, trained))


def _first_roll_out(running: Simulation) -> Chapter:
    began, first = running.hours, len(running.journal)
    shares = _roll_out(running, "promoted")
    return _rolled_out(running, "Rolled out", began, first, shares)


def _drift(running: Simulation) -> Chapter:
    began, first = running.hours, len(running.journal)
    before = _mean_rewards(running.journal, 0, first)
    trained = _until_trained(running)
    after = _mean_rewards(running.journal, first, len(running.journal))
    champion = running.parts.registry.aliases()["champion"]
    features = running.parts.store.document("drift").body.get("features", [])
    training = running.parts.store.trainings(1)[0]
    named = "; ".join(
        f"{feature['name']} (mean {feature['reference']:+.2f} then, {feature['recent']:+.2f} now)"
        for feature in features[:3]
    )
    if training.kind != "drift":
        raise InputError(f"the trigger was {training.kind}, and not drift")
    text = (
        f"Other traffic comes: a kind of attack that the champion has never met, and more attacks. Its mean reward "
        f"falls from {before[champion]:.3f} to {after[champion]:.3f}. {len(features)} features drift, the furthest "
        f"{named}, and the trigger fires. A candidate learns from {training.experiences:,} logged decisions, without "
        f"those held out, with its weights held by EWC, and is proved: {trained.decision}."
    )
    return _chapter(running, "The traffic drifts", text, began, _of_proof(running, trained))


def _second_roll_out(running: Simulation) -> Chapter:
    began, first = running.hours, len(running.journal)
    shares = _roll_out(running, "promoted")
    return _rolled_out(running, "The answer is rolled out", began, first, shares)


def _bad_candidate(running: Simulation) -> Chapter:
    for _ in range(AFTERWARDS):
        running.tick()
    began, first, parts = running.hours, len(running.journal), running.parts
    number, run, _ = champion_of(parts)
    bad, _ = register_run(parts, worst_of(run, parts.folder / "bad"), "somebody", CHALLENGER)
    shares = _roll_out(running, "rolled back")
    if parts.registry.aliases() != {"champion": number}:
        raise InputError(f"the bad candidate was not rolled back: {parts.registry.aliases()}")
    means = _mean_rewards(running.journal, first, len(running.journal))
    hit = running.journal.versions[first:].count(bad.number)
    text = (
        f"Somebody registers a version without a proof, which prefers what the champion avoids. It gets {shares} of "
        f"the units and makes {hit:,} decisions in {_hours(running.hours - began)} before it is rolled back: "
        f"{running.loop.controller.row().outcome}. Version {number} is the champion as before."
    )
    figures = [(f"mean reward of version {version}", mean) for version, mean in sorted(means.items())]
    return _chapter(running, "A bad candidate", text, began, figures)


def _people(running: Simulation) -> Chapter:
    began, parts = running.hours, running.parts
    for _ in range(AFTERWARDS):
        running.tick()
    running.close()
    bound = parts.store.document("review_bound").body
    number, _, source = champion_of(parts)
    if bound.get("champion") != number or not review_queue.waiting(parts.store, REVIEWED):
        raise InputError("nothing of the champion's went to review")
    for review in review_queue.waiting(parts.store, REVIEWED):
        values = {"decision_id": review.decision_id, "action": 0, "reviewer": "demo", "reason": "looked at"}
        record_override(parts, values, parts.clock(), source.action_names)
    counts = review_queue.counts(parts.store)
    threshold = bound["threshold"]
    decided = counts.get(review_queue.DECIDED, 0)
    known = f"by {bound['decisions']:,} of its own decisions whose outcome is known"
    if threshold is None:
        without_person = (
            f"No bound on confidence keeps the error at {bound['error']:.0%}, {known}, so a person sees every decision"
        )
    else:
        without_person = (
            f"The champion decides on its own where its confidence is above {threshold:.3f}: of such decisions at most "
            f"{bound['error']:.0%} are wrong, {known}"
        )
    text = (
        f"{without_person}. {sum(counts.values()):,} decisions went to a person, who has decided {decided} of "
        "them; what a person decides counts."
    )
    share = "none"
    if threshold is not None:
        share = (
            f"{bound['alone'] / bound['decisions']:.0%}, of which {bound['wrong']:,} of {bound['alone']:,} were wrong"
        )
    return _chapter(running, "People", text, began, [("decided without a person in calibration", share)])


def _until_trained(running: Simulation) -> Trained:
    """Let time pass until a training has ended, whose candidate is rolled out."""
    for _ in range(MOST_TICKS):
        turn = running.tick()
        if turn.failures:
            raise InputError("; ".join(turn.failures.values()))
        if turn.trained is not None:
            if not turn.trained.challenger:
                raise InputError(f"the candidate is not rolled out: {turn.trained.sentence}")
            return turn.trained
    raise InputError(f"no training was due within {_hours(MOST_TICKS / 12)}")


def _roll_out(running: Simulation, outcome: str) -> str:
    """Let time pass until the roll-out has ended as it should; the shares of its steps."""
    shares: list[float] = []
    for _ in range(MOST_TICKS):
        running.tick()
        row = running.loop.controller.row()
        if row.state in ("canary", "full") and row.share not in shares:
            shares.append(row.share)
        if row.state == "idle" and running.parts.registry.aliases().get(CHALLENGER) is None:
            if outcome not in row.outcome:
                raise InputError(f"the roll-out did not end as it should: {row.outcome}")
            return ", ".join(f"{share:.0%}" for share in shares)
    raise InputError(f"the roll-out has not ended: {running.loop.controller.row().reason}")


def _rolled_out(running: Simulation, title: str, began: float, first: int, shares: str) -> Chapter:
    """The chapter of a roll-out that has ended with a promotion."""
    row = running.loop.controller.row()
    text = (
        f"The challenger gets {shares} of the units, each unit always the same version, and each step is decided by "
        f"evidence on rewards. After {len(running.journal) - first:,} decisions in {_hours(running.hours - began)}: "
        f"{row.outcome}."
    )
    means = _mean_rewards(running.journal, first, len(running.journal))
    figures: list[tuple[str, Any]] = [
        (f"mean reward of version {version} meanwhile", mean) for version, mean in sorted(means.items())
    ]
    for look in running.parts.store.document("evidence").body.get("looks", []):
        if look["verdict"] == "promote" and look["at"] >= running.clock.now() - 3600 * (running.hours - began):
            to = f"{look['share_after']:.0%}" if look["share_after"] else "champion"
            figures.append((f"promoted to {to}", look["sentence"]))
    return _chapter(running, title, text, began, figures)


def _of_proof(running: Simulation, trained: Trained) -> list[tuple[str, Any]]:
    """The parts of a candidate's proof."""
    findings = running.parts.registry.version(trained.version).lineage.verdict["proof"]["findings"]
    return [(finding["part"].replace("_", " "), f"{finding['decision']}: {finding['reason']}") for finding in findings]


def _chapter(running: Simulation, title: str, text: str, began: float, figures: list[tuple[str, Any]]) -> Chapter:
    return Chapter(title, text, figures, began, running.hours)


def _mean_rewards(journal: Journal, first: int, last: int) -> dict[int, float]:
    """Version -> mean reward of its decisions among those from `first` up to `last`."""
    versions, rewards = np.array(journal.versions[first:last]), np.array(journal.rewards[first:last])
    return {int(version): float(rewards[versions == version].mean()) for version in np.unique(versions)}


def _hours(hours: float) -> str:
    return f"{hours:.1f} h"
