"""Decide the criteria of a suite on its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError
from rl_eval.gates.arena import Arena, OnEpisodes, environment_to_judge
from rl_eval.gates.commands import train_command
from rl_eval.gates.schema import Criterion, Suite
from rl_eval.gates.selection import Selection
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict, decide, shown
from rl_eval.metrics import Metric
from rl_eval.rollout import Episodes
from rl_eval.run import Run


@dataclass(frozen=True)
class Reading:
    """One metric of one policy: a value, or why there is none."""

    value: float | None
    units: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Played:
    """What one run's policy, or a reference beside it, did on the suite's episodes.

    Attributes:
        readings: metric name -> its reading.
        references: policy -> metric name -> reading, on the same episodes.
    """

    readings: dict[str, Reading] = field(default_factory=dict)
    references: dict[str, dict[str, Reading]] = field(default_factory=dict)


def judge(
    suite: Suite, selection: Selection, *, trust: bool = False, on_episodes: OnEpisodes | None = None
) -> SuiteVerdict:
    """Decide every criterion; all task criteria share the same episodes, and the worst run decides.

    Args:
        selection: from `selection.newest_group` or `selection.named_runs`.
        trust: whether policies and environments that the suite or a run names may run code from elsewhere.
        on_episodes: called with the episodes played, their number, and `label=` whose they are.

    What cannot be judged is an ERROR of the criteria concerned, with its reason.
    """
    played = _play(suite, selection.runs, trust, on_episodes)
    verdicts = []
    for criterion in suite.criteria:
        if criterion.metric.kind == "run":
            if selection.too_few:
                verdicts.append(_error(suite, criterion, f"{criterion.metric.name}: {selection.too_few}"))
            else:
                verdicts.append(_over_runs(suite, criterion, selection.runs, played))
        else:
            verdicts.append(_worst(suite, criterion, selection.runs, played))
    return _suite_verdict(suite, selection.runs, verdicts)


def judge_one_run(
    suite: Suite, run: Run, *, trust: bool = False, on_episodes: OnEpisodes | None = None
) -> SuiteVerdict:
    """As far as one run can show; criteria over several are NEEDS_RUNS, with the commands as their detail."""
    verdict = judge(suite, Selection((run,), too_few="one run"), trust=trust, on_episodes=on_episodes)
    commands = f"{train_command(suite)} && pytest {suite.shown}"
    over_runs = {criterion.name for criterion in suite.criteria if criterion.metric.kind == "run"}
    criteria = [
        replace(each, decision="NEEDS_RUNS", detail=commands) if each.criterion in over_runs else each
        for each in verdict.criteria
    ]
    return replace(verdict, criteria=tuple(criteria))


def not_judged(suite: Suite, reason: str) -> SuiteVerdict:
    """Every criterion an ERROR for one reason, such as that there is no run."""
    return _suite_verdict(suite, (), [_error(suite, criterion, reason) for criterion in suite.criteria])


def _suite_verdict(suite: Suite, runs: Sequence[Run], verdicts: Iterable[CriterionVerdict]) -> SuiteVerdict:
    return SuiteVerdict(
        suite=suite.name,
        file=suite.shown,
        env=suite.env.name,
        policy=suite.spec.policy,
        gate_seed=suite.gate_seed,
        runs=tuple(str(run.path) for run in runs),
        criteria=tuple(verdicts),
    )


# --- playing ---------------------------------------------------------------------------------------


def _play(suite: Suite, runs: Sequence[Run], trust: bool, on_episodes: OnEpisodes | None) -> dict[Path, Played]:
    """Every run's policy once, and every reference once a place of data."""
    wanted = {c.metric.name: c.metric for c in suite.criteria if c.metric.kind == "task"}
    wanted |= {c.base.name: c.base for c in suite.criteria if c.base is not None}
    arenas: dict[str, Arena] = {}
    references: dict[str, dict[str, dict[str, Reading]]] = {}
    played = {}
    try:
        for run in runs:
            try:
                env = environment_to_judge(suite, run)
                key = env.model_dump_json()
                if key not in arenas:
                    arenas[key] = Arena(suite, env, trust, on_episodes)
                    references[key] = _play_references(suite, arenas[key])
                episodes = arenas[key].play(str(run.path), f"{suite.name}: {run.path.name}")
            except InputError as error:
                failed = {name: Reading(None, problem=str(error)) for name in wanted}
                played[run.path] = Played(failed)
                continue
            played[run.path] = Played(_readings(wanted.values(), episodes, env), references[key])
    finally:
        for arena in arenas.values():
            arena.close()
    return played


def _play_references(suite: Suite, arena: Arena) -> dict[str, dict[str, Reading]]:
    """The policies that criteria must be better than, on the episodes of the arena."""
    wanted: dict[str, dict[str, Metric]] = {}
    for criterion in suite.criteria:
        for given in criterion.spec.better_than or ():
            for spec in arena.expand(given):
                wanted.setdefault(spec, {})[criterion.metric.name] = criterion.metric
    found = {}
    for spec, metrics in wanted.items():
        try:
            episodes = arena.play(spec, f"{suite.name}: {spec}")
        except InputError as error:
            found[spec] = {name: Reading(None, problem=str(error)) for name in metrics}
            continue
        found[spec] = _readings(metrics.values(), episodes, arena.env)
    return found


def _readings(metrics: Iterable[Metric], episodes: Episodes, env: EnvConfig) -> dict[str, Reading]:
    found = {}
    for metric in metrics:
        units = len(episodes.episode) if metric.unit == "case" else len(episodes)
        found[metric.name] = _read(partial(metric.compute, episodes, env), units)
    return found


def _read(compute: Callable[[], float], units: int | None = None) -> Reading:
    try:
        return Reading(float(compute()), units)
    except InputError as error:  # undefined, or asked for what is not there
        return Reading(None, units, str(error))


# --- deciding --------------------------------------------------------------------------------------


def _blank(suite: Suite, criterion: Criterion) -> CriterionVerdict:
    direction: str = criterion.direction
    if criterion.spec.better_than is not None:
        direction = "better_than" if direction == "at_least" else "less_than"
    given = criterion.spec.at_least if criterion.spec.at_least is not None else criterion.spec.at_most
    return CriterionVerdict(
        suite=suite.name,
        criterion=criterion.name,
        metric=criterion.metric.name,
        decision="ERROR",
        detail="",
        by=criterion.spec.by,
        direction=direction,
        threshold=given,
        unit=criterion.metric.unit,
    )


def _error(suite: Suite, criterion: Criterion, reason: str) -> CriterionVerdict:
    return replace(_blank(suite, criterion), detail=reason)


def _worst(suite: Suite, criterion: Criterion, runs: Sequence[Run], played: dict[Path, Played]) -> CriterionVerdict:
    """The verdict of the run that fares worst: an ERROR before anything, then the lowest lead over its threshold."""
    each = [_one_run(suite, criterion, run, played[run.path]) for run in runs]
    errors = [verdict for verdict in each if verdict.decision == "ERROR"]
    if errors:
        return errors[0]
    sign = 1.0 if criterion.direction == "at_least" else -1.0
    worst = min(each, key=lambda verdict: sign * (verdict.estimate - verdict.threshold))  # type: ignore[operator]
    if len(runs) > 1:
        worst = replace(worst, detail=f"{worst.detail} (the worst of {len(runs)} runs, {worst.run})")
    return worst


def _one_run(suite: Suite, criterion: Criterion, run: Run, played: Played) -> CriterionVerdict:
    blank = replace(_blank(suite, criterion), run=str(run.path))
    metric = criterion.metric
    note = ""
    if metric.kind == "task":
        reading = played.readings[metric.name]
        of = f" over {reading.units:,} {metric.unit}s" if reading.units else ""
    elif metric.kind == "artefact":
        faults = metric.compute(run)
        reading, of = Reading(0.0 if faults else 1.0, 1), ""
        note = f": {'; '.join(faults)}" if faults else ""
    else:
        reading, of = _read(partial(metric.compute, run), 1), ""
    blank = replace(blank, units=reading.units, units_max=reading.units)
    if reading.value is None:
        return replace(blank, detail=str(reading.problem))
    if criterion.spec.better_than is not None:
        return _against_references(criterion, blank, reading, played, of)
    verdict = decide(blank, reading.value, blank.threshold, of)  # type: ignore[arg-type]
    return replace(verdict, detail=verdict.detail + note)


def _against_references(
    criterion: Criterion, blank: CriterionVerdict, reading: Reading, played: Played, of: str
) -> CriterionVerdict:
    """Better than each reference by more than the margin: the best of them sets the threshold."""
    name = criterion.metric.name
    values: dict[str, float] = {}
    for spec, readings in played.references.items():
        if name not in readings or not _asked(criterion, spec):
            continue
        value = readings[name].value
        if value is None:
            return replace(blank, detail=f"the reference {spec}: {readings[name].problem}")
        values[spec] = value
    sign = -1.0 if blank.direction == "less_than" else 1.0
    best = max(values, key=lambda spec: sign * values[spec])
    margin = criterion.spec.margin or 0.0
    verdict = decide(blank, reading.value, values[best] + sign * margin, of)  # type: ignore[arg-type]
    apart = f" with a margin of {shown(margin)}" if margin else ""
    return replace(verdict, detail=f"{verdict.detail} ({best} has {shown(values[best])}{apart})")


def _asked(criterion: Criterion, spec: str) -> bool:
    given = criterion.spec.better_than or ()
    return spec in given or ("constant:*" in given and spec.startswith("constant:"))


def _over_runs(suite: Suite, criterion: Criterion, runs: Sequence[Run], played: dict[Path, Played]) -> CriterionVerdict:
    blank = replace(_blank(suite, criterion), units=len(runs), units_max=len(runs))
    base = criterion.base
    assert base is not None
    values = []
    for run in runs:
        reading = played[run.path].readings[base.name]
        if reading.value is None:
            return replace(blank, detail=f"{run.path}: {reading.problem}", run=str(run.path))
        values.append(reading.value)
    spread = _read(partial(criterion.metric.compute, np.array(values)))
    if spread.value is None:
        return replace(blank, detail=str(spread.problem))
    each = ", ".join(shown(value) for value in values)
    verdict = decide(blank, spread.value, blank.threshold, f" over {len(runs)} runs")  # type: ignore[arg-type]
    return replace(verdict, detail=f"{verdict.detail} ({base.name} of each: {each})")
