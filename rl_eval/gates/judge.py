"""Decide the criteria of a suite on its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence import decide_over_runs, power_note
from rl_eval.formatting import number
from rl_eval.gates.arena import OnEpisodes
from rl_eval.gates.arenas import Arenas, Judged
from rl_eval.gates.by_estimate import Estimate
from rl_eval.gates.commands import train_command
from rl_eval.gates.controls import beside_criteria, item_verdict, what_they_rest_on
from rl_eval.gates.facing import face, trial_of
from rl_eval.gates.leaks import look_for_leaks
from rl_eval.gates.schema import Criterion, Suite
from rl_eval.gates.selection import BarePolicy, Selection
from rl_eval.gates.trial import Trial, blank_verdict
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict, decide, decided
from rl_eval.run import Run

# What the controls of the latest suites came to: the jobs of a sweep are all judged by the same ones.
_beside_before: dict[tuple, list[CriterionVerdict]] = {}

_SEVERITY = {"ERROR": 0, "FAIL": 1, "INCONCLUSIVE": 2, "PASS": 3}


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
    arenas = Arenas(suite, trust, on_episodes)
    try:
        held_out, test_set = look_for_leaks(suite, selection.runs, arenas)
        refused = held_out.detail if held_out.decision == "ERROR" and held_out.units else None
        played = [Played(refused) if refused else _play(suite, run, arenas) for run in selection.runs]
        verdicts = []
        for criterion in suite.criteria:
            if criterion.metric.kind != "run":
                verdicts.append(_worst(suite, criterion, selection.runs, played))
            elif selection.too_few:
                verdicts.append(_error(suite, criterion, f"{criterion.metric.name}: {selection.too_few}"))
            else:
                verdicts.append(_over_runs(suite, criterion, selection.runs, played))
        verdicts += _not_beside(suite, refused) if refused else _beside(suite, selection.runs, arenas)
        verdicts.append(held_out)
    finally:
        arenas.close()
    return _suite_verdict(suite, selection.runs, verdicts, test_set)


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
    """Everything an ERROR for one reason, such as that there is no run."""
    verdicts = [_error(suite, criterion, reason) for criterion in suite.criteria]
    held_out = replace(item_verdict(suite, "held_out"), detail=reason)
    return _suite_verdict(suite, (), [*verdicts, *_not_beside(suite, reason), held_out])


def _suite_verdict(
    suite: Suite, runs: Sequence[Judged], verdicts: Iterable[CriterionVerdict], test_set: str | None = None
) -> SuiteVerdict:
    return SuiteVerdict(
        suite=suite.name,
        file=suite.shown,
        env=suite.env.name,
        policy=suite.spec.policy,
        gate_seed=suite.gate_seed,
        runs=tuple(str(run.path) for run in runs),
        criteria=tuple(verdicts),
        alpha=suite.spec.alpha,
        test_set=test_set,
    )


def _error(suite: Suite, criterion: Criterion, reason: str) -> CriterionVerdict:
    return replace(blank_verdict(suite, criterion), detail=reason)


# --- playing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """What one run's policy did on the suite's episodes.

    Attributes:
        problem: why it could not play at all, else None.
        verdicts: task criterion -> its verdict.
        values: metric that a criterion over runs spreads over -> its value, or why there is none.
    """

    problem: str | None = None
    verdicts: dict[str, CriterionVerdict] = field(default_factory=dict)
    values: dict[str, float | str] = field(default_factory=dict)


def _play(suite: Suite, run: Judged, arenas: Arenas) -> Played:
    try:
        arena = arenas.of(run)
        trials: dict[str, Trial] = {c.name: trial_of(arena, c) for c in suite.criteria if c.metric.kind == "task"}
        # the plain value over the fixed episodes, whatever the criterion over runs makes of it
        bases = {c.base.name: Estimate(arena, c, c.base) for c in suite.criteria if c.base is not None}
        label = run.path.name if isinstance(run, Run) else run.path
        face(arena, str(run.path), f"{suite.name}: {label}", [*trials.values(), *bases.values()])
    except InputError as error:
        return Played(str(error))
    return Played(
        verdicts={name: trial.conclude() for name, trial in trials.items()},
        values={name: trial.conclude().detail if trial.value is None else trial.value for name, trial in bases.items()},
    )


def _beside(suite: Suite, runs: Sequence[Judged], arenas: Arenas) -> list[CriterionVerdict]:
    try:
        arena = arenas.of(runs[0])
        key = what_they_rest_on(suite, arena)
        if key is None or key not in _beside_before:
            found = beside_criteria(suite, arena)
            if key is None:
                return found
            while len(_beside_before) >= 8:
                _beside_before.pop(next(iter(_beside_before)))
            _beside_before[key] = found
        return _beside_before[key]
    except InputError as error:
        return _not_beside(suite, str(error))


def _not_beside(suite: Suite, reason: str) -> list[CriterionVerdict]:
    criteria = {criterion.name for criterion in suite.criteria}
    return [
        replace(item_verdict(suite, item), detail=reason) for item in suite.items if item not in {*criteria, "held_out"}
    ]


# --- deciding --------------------------------------------------------------------------------------


def _worst(suite: Suite, criterion: Criterion, runs: Sequence[Judged], played: Sequence[Played]) -> CriterionVerdict:
    """The verdict of the run that fares worst: by its decision, then by its lead over the threshold."""
    each = [_one_run(suite, criterion, run, did) for run, did in zip(runs, played, strict=True)]
    worst = min(each, key=lambda verdict: (_SEVERITY[verdict.decision], verdict.lead))
    if len(runs) > 1 and worst.decision != "ERROR":
        worst = replace(worst, detail=f"{worst.detail} (the worst of {len(runs)} runs, {worst.run})")
    return worst


def _one_run(suite: Suite, criterion: Criterion, run: Judged, played: Played) -> CriterionVerdict:
    blank = replace(blank_verdict(suite, criterion), run=str(run.path))
    metric = criterion.metric
    if metric.kind == "task":
        if played.problem is not None:
            return replace(blank, detail=played.problem)
        return replace(played.verdicts[criterion.name], run=str(run.path))
    if isinstance(run, BarePolicy):
        reason = f"{metric.name} is read from a training run, but {run.path} is a policy without one"
        return replace(blank, detail=f"{reason}: name its run, or judge it by a suite without this criterion")
    blank = replace(blank, units=1, units_max=1)
    assert blank.threshold is not None
    if metric.kind == "artefact":
        faults = metric.compute(run)
        verdict = decide(blank, 0.0 if faults else 1.0, blank.threshold, "")
        return replace(verdict, detail=verdict.detail + (f": {'; '.join(faults)}" if faults else ""))
    try:
        return decide(blank, float(metric.compute(run)), blank.threshold, "")
    except InputError as error:  # undefined, or asked for what is not there
        return replace(blank, detail=str(error))


def _over_runs(
    suite: Suite, criterion: Criterion, runs: Sequence[Judged], played: Sequence[Played]
) -> CriterionVerdict:
    """One number a run; evidence takes runs for its units, and says how little so few can show."""
    blank = replace(blank_verdict(suite, criterion), units=len(runs), units_max=len(runs))
    base, metric = criterion.base, criterion.metric
    assert base is not None
    assert blank.threshold is not None
    values = []
    for run, did in zip(runs, played, strict=True):
        value = did.problem or did.values[base.name]
        if isinstance(value, str):
            return replace(blank, detail=f"{run.path}: {value}", run=str(run.path))
        values.append(value)
    each = f" ({base.name} of each: {', '.join(number(value) for value in values)})"
    try:
        if criterion.spec.by == "estimate":
            spread = float(metric.compute(np.array(values)))
            verdict = decide(blank, spread, blank.threshold, f" over {len(runs)} runs")
            return replace(verdict, detail=verdict.detail + each)
        assert metric.statistic is not None
        found = decide_over_runs(
            np.array(values),
            blank.threshold,
            metric.statistic,
            suite.spec.alpha,
            blank.direction,  # type: ignore[arg-type]
        )
    except InputError as error:
        return replace(blank, detail=str(error))
    note = "" if metric.statistic == "mean" else f"; {power_note(len(runs), suite.spec.alpha)}"
    verdict = decided(replace(blank, population="source"), found, blank.threshold)
    return replace(verdict, detail=verdict.detail + each + note)
