"""Decide the criteria of a suite on its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rl_eval import policy
from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.formatting import display_text
from rl_eval.gates.caveats import with_caveats, with_data_notes
from rl_eval.gates.controls import control_key, control_verdicts
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.criterion_check import CriterionCheck, blank_verdict
from rl_eval.gates.estimate_check import EstimateCheck
from rl_eval.gates.held_out import check_held_out
from rl_eval.gates.needs import require_needs
from rl_eval.gates.opposite_labels import opposite_labels_note
from rl_eval.gates.over_runs import verdict_over_runs
from rl_eval.gates.play_criteria import new_check, play_criteria
from rl_eval.gates.played_elsewhere import PlayedEnvironment, unchecked_items
from rl_eval.gates.premises import assumptions, with_premises
from rl_eval.gates.release import unable_to_compare
from rl_eval.gates.replay import replay_note
from rl_eval.gates.same_episodes import ONE_EPISODE, SAME_IN_EACH_COPY, copies_play_the_same, is_one_episode
from rl_eval.gates.selection import BarePolicy, PlayedEpisodes, Selection
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import as_the_suite_names_it
from rl_eval.gates.suite_environment import OnEpisodes, SuiteEnvironment, SuiteEnvironments
from rl_eval.gates.training_commands import train_command
from rl_eval.gates.value_definition import value_definition
from rl_eval.gates.verdict import (
    CriterionVerdict,
    SuiteVerdict,
    decide_by_estimate,
    item_verdict,
    undecided,
)
from rl_eval.launchers import Launcher
from rl_eval.override_text import shell_word
from rl_eval.run import Run

# The verdicts of the controls of the latest suites: the jobs of a sweep are all judged by the same ones.
_CONTROL_VERDICTS: dict[tuple, list[CriterionVerdict]] = {}
_MAX_CONTROL_VERDICTS = 8

_SEVERITY = {"ERROR": 0, "FAIL": 1, "INCONCLUSIVE": 2, "PASS": 3}


def evaluate_suite(
    suite: Suite,
    selection: Selection,
    *,
    trust: bool = False,
    on_episodes: OnEpisodes | None = None,
    workers: Launcher | None = None,
) -> SuiteVerdict:
    """Decide every criterion; all task criteria share the same episodes, and the worst run decides.

    Args:
        selection: from `selection.newest_group` or `selection.named_runs`.
        trust: whether policies and environments that the suite or a run names may run code from elsewhere.
        on_episodes: called with the episodes played, their number, and `label=` whose they are.
        workers: who plays the episodes, with the same verdict to the bit; None: this process.

    What cannot be judged is an ERROR of the criteria concerned, with its reason.
    """
    try:
        require_needs(suite)
    except InputError as error:
        return suite_error(suite, str(error))
    if any(isinstance(judged, PlayedEpisodes) for judged in selection.runs):
        return _evaluate_played(suite, selection)
    environments = SuiteEnvironments(suite, trust, on_episodes, workers)
    try:
        if suite.part == "test":
            held_out, test_set = check_held_out(suite, selection.runs, environments)
        else:
            held_out, test_set = _not_held_out(suite), None
        # without an intact record a leak cannot be ruled out
        refused = held_out.detail if held_out.decision == "ERROR" and suite.spec.leaks != "report" else None
        played = [PlayedRun(refused) if refused else _play(suite, run, environments.of) for run in selection.runs]
        verdicts = [_decide(suite, criterion, selection, played, test_set) for criterion in suite.criteria]
        if refused:
            verdicts += _control_errors(suite, refused)
        else:
            verdicts += _cached_control_verdicts(suite, selection.runs, environments)
        verdicts.append(with_data_notes(suite, selection.runs, held_out))
    finally:
        environments.close()
    verdicts = [with_caveats(suite, verdict) for verdict in verdicts]
    return with_premises(suite, selection.runs, _suite_verdict(suite, selection.runs, verdicts, test_set))


def _evaluate_played(suite: Suite, selection: Selection) -> SuiteVerdict:
    """Decide the criteria on episodes that were played elsewhere."""
    environments: dict[str, PlayedEnvironment] = {}

    def environment_of(judged: Run | BarePolicy) -> PlayedEnvironment:
        assert isinstance(judged, PlayedEpisodes)
        if judged.path not in environments:
            environments[judged.path] = PlayedEnvironment(suite, judged)
        return environments[judged.path]

    played = [_play(suite, judged, environment_of) for judged in selection.runs]
    verdicts = [_decide(suite, criterion, selection, played, None) for criterion in suite.criteria]
    verdicts = [with_caveats(suite, verdict) for verdict in (*verdicts, *unchecked_items(suite))]
    verdict = _suite_verdict(suite, selection.runs, verdicts)
    described = "; ".join(environment.describe() for environment in environments.values())
    return replace(verdict, test_data=described, assumed=tuple(assumptions(suite))) if described else verdict


def evaluate_run(suite: Suite, run: Run, *, trust: bool = False, on_episodes: OnEpisodes | None = None) -> SuiteVerdict:
    """Judge a single run; criteria over several runs are NEEDS_RUNS, with the commands to train them as detail."""
    verdict = evaluate_suite(suite, Selection((run,), too_few="one run"), trust=trust, on_episodes=on_episodes)
    commands = f"{train_command(suite)} && pytest {shell_word(suite.label)}"
    over_runs = {criterion.name for criterion in suite.criteria if criterion.metric.kind == "run"}
    criteria = [
        replace(criterion, decision="NEEDS_RUNS", detail=commands) if criterion.criterion in over_runs else criterion
        for criterion in verdict.criteria
    ]
    return replace(verdict, criteria=tuple(criteria))


def _not_held_out(suite: Suite) -> CriterionVerdict:
    """The item `::held_out` of a suite that is not played on its test set."""
    data = domain(suite.judged.name).has_cases
    what = "the validation part of the data" if data else "validation episodes of the suite's own"
    detail = f"this verdict is about {what}, and does not use the test set"
    detail += "; data_sha256, which pins the test set, is not checked" if suite.spec.data_sha256 else ""
    return replace(item_verdict(suite.name, "held_out"), decision="NOT_CHECKED", detail=detail)


def suite_error(suite: Suite, reason: str) -> SuiteVerdict:
    """An ERROR of every item for one reason, such as that there is no run."""
    verdicts = [_error(suite, criterion, reason) for criterion in suite.criteria]
    held_out = replace(item_verdict(suite.name, "held_out"), detail=reason)
    return _suite_verdict(suite, (), [*verdicts, *_control_errors(suite, reason), held_out])


def _suite_verdict(
    suite: Suite,
    runs: Sequence[Run | BarePolicy],
    verdicts: Iterable[CriterionVerdict],
    test_set: str | None = None,
) -> SuiteVerdict:
    return SuiteVerdict(
        suite=suite.name,
        file=suite.label,
        env=suite.env.name,
        policy=suite.spec.policy,
        gate_seed=suite.gate_seed,
        runs=tuple(display_text(str(run.path)) for run in runs),
        criteria=tuple(_displayed(suite, verdict) for verdict in verdicts),
        alpha=suite.spec.alpha,
        test_set=test_set,
        part=suite.part,
        defined_by=value_definition(suite),
    )


def _displayed(suite: Suite, verdict: CriterionVerdict) -> CriterionVerdict:
    """A verdict whose texts may be shown to anyone: policies and errors can hold a URL with a token."""
    if verdict.decision == "ERROR":
        verdict = replace(verdict, detail=as_the_suite_names_it(suite, verdict.detail))
    return replace(
        verdict,
        metric=display_text(verdict.metric),
        detail=display_text(verdict.detail),
        run=None if verdict.run is None else display_text(verdict.run),
        reference=None if verdict.reference is None else display_text(verdict.reference),
    )


def _error(suite: Suite, criterion: Criterion, reason: str) -> CriterionVerdict:
    return replace(blank_verdict(suite, criterion), detail=reason)


# --- playing ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlayedRun:
    """Results of one run's policy on the suite's episodes.

    Attributes:
        problem: why it could not play at all, else None.
        verdicts: task criterion -> its verdict.
        values: metric that a criterion over runs aggregates -> its value, or why there is none.
        note: what to add to each verdict.
        repeats: whether the episodes are the same in each copy, so that nothing can be claimed.
        against_labels: what to add to those that read labels and are not a PASS.
    """

    problem: str | None = None
    verdicts: dict[str, CriterionVerdict] = field(default_factory=dict)
    values: dict[str, float | str] = field(default_factory=dict)
    note: str = ""
    repeats: bool = False
    against_labels: str = ""


def _play(suite: Suite, run: Run | BarePolicy, environment_of: Callable[[Run | BarePolicy], Any]) -> PlayedRun:
    try:
        environment = environment_of(run)
        checks: dict[str, CriterionCheck] = {
            criterion.name: new_check(environment, criterion)
            for criterion in suite.criteria
            if criterion.metric.kind == "task" and not (criterion.compared and criterion.compared.unable)
        }
        # the plain value over the fixed episodes, not what the criterion over runs makes of it
        bases = {c.base.name: EstimateCheck(environment, c, c.base) for c in suite.criteria if c.base is not None}
        label = run.path.name if isinstance(run, Run) else run.path
        spec, label, to_check = str(run.path), f"{suite.name}: {label}", [*checks.values(), *bases.values()]
        played, note, repeats = play_criteria(environment, spec, label, to_check), "", False
        against_labels = "" if played is None else opposite_labels_note(played)
        if played is not None and isinstance(environment, SuiteEnvironment) and environment.is_endless:
            repeats = copies_play_the_same(environment, spec, label, played)
            note = ONE_EPISODE if not repeats and is_one_episode(played) else ""
        if played is not None and not repeats and not policy.is_seeded(spec):
            most = max(check.episodes for check in to_check)
            note += replay_note(environment, spec, label, played, most)
    except InputError as error:
        return PlayedRun(str(error))
    return PlayedRun(
        verdicts={name: check.finish() for name, check in checks.items()},
        values={name: check.finish().detail if check.value is None else check.value for name, check in bases.items()},
        note=note,
        repeats=repeats,
        against_labels=against_labels,
    )


def _cached_control_verdicts(
    suite: Suite, runs: Sequence[Run | BarePolicy], environments: SuiteEnvironments
) -> list[CriterionVerdict]:
    try:
        environment = environments.of(runs[0])
        key = control_key(suite, environment)
        if key is None:
            return control_verdicts(suite, environment)
        if key not in _CONTROL_VERDICTS:
            verdicts = control_verdicts(suite, environment)
            while len(_CONTROL_VERDICTS) >= _MAX_CONTROL_VERDICTS:
                _CONTROL_VERDICTS.pop(next(iter(_CONTROL_VERDICTS)))
            _CONTROL_VERDICTS[key] = verdicts
        return _CONTROL_VERDICTS[key]
    except InputError as error:
        return _control_errors(suite, str(error))


def _control_errors(suite: Suite, reason: str) -> list[CriterionVerdict]:
    handled = {*(criterion.name for criterion in suite.criteria), "held_out"}
    return [replace(item_verdict(suite.name, item), detail=reason) for item in suite.items if item not in handled]


# --- deciding --------------------------------------------------------------------------------------


def _decide(
    suite: Suite, criterion: Criterion, selection: Selection, played: Sequence[PlayedRun], test_set: str | None
) -> CriterionVerdict:
    if criterion.compared is not None:
        unable = unable_to_compare(blank_verdict(suite, criterion), criterion.compared, test_set)
        if unable is not None:
            return unable
    if criterion.metric.kind != "run":
        return _worst(suite, criterion, selection.runs, played)
    if selection.too_few:
        return _error(suite, criterion, selection.too_few)
    assert criterion.base is not None
    measured = [one.problem or one.values[criterion.base.name] for one in played]
    return verdict_over_runs(suite, criterion, selection.runs, measured)


def _worst(
    suite: Suite, criterion: Criterion, runs: Sequence[Run | BarePolicy], played: Sequence[PlayedRun]
) -> CriterionVerdict:
    """The verdict of the worst run: by its decision, then by its lead over the threshold."""
    verdicts = [_one_run(suite, criterion, *pair) for pair in zip(runs, played, strict=True)]
    worst = min(verdicts, key=lambda verdict: (_SEVERITY[verdict.decision], verdict.lead))
    if len(runs) > 1 and worst.decision != "ERROR":
        worst = replace(worst, detail=f"{worst.detail} (the worst of {len(runs)} runs, {worst.run})")
    return worst


def _one_run(suite: Suite, criterion: Criterion, run: Run | BarePolicy, played: PlayedRun) -> CriterionVerdict:
    blank = replace(blank_verdict(suite, criterion), run=str(run.path))
    metric = criterion.metric
    if metric.kind == "task":
        if played.problem is not None:
            return replace(blank, detail=played.problem)
        verdict = played.verdicts[criterion.name]
        reads_labels = verdict.decision != "PASS" and "label" in metric.needs
        note = played.note + (played.against_labels if reads_labels else "")
        if played.repeats and verdict.decision != "ERROR":
            return replace(undecided(verdict, SAME_IN_EACH_COPY), run=str(run.path))
        return replace(verdict, run=str(run.path), detail=verdict.detail + note)
    if isinstance(run, BarePolicy):
        reason = f"{metric.name} is read from a training run, but {run.path} is a policy without one"
        return replace(blank, detail=f"{reason}: name its run, or judge it by a suite without this criterion")
    blank = replace(blank, units=1, units_max=1)
    assert blank.threshold is not None
    if metric.kind == "artefact":
        faults = metric.compute(run)
        verdict = decide_by_estimate(blank, 0.0 if faults else 1.0, blank.threshold, "")
        return replace(verdict, detail=verdict.detail + (f": {'; '.join(faults)}" if faults else ""))
    try:
        return decide_by_estimate(blank, float(metric.compute(run)), blank.threshold, "")
    except InputError as error:  # undefined, or not recorded
        return replace(blank, detail=str(error))
