"""Is the suite itself any good? No useless policy may pass it, and a policy that it names must.

A gate that a useless policy passes measures nothing: blocking everything has an F1 of .73 on KDDTest+.
"""

from __future__ import annotations

from dataclasses import replace

from rl_eval.gates.arena import Arena
from rl_eval.gates.facing import face, trial_of
from rl_eval.gates.schema import Criterion, Suite
from rl_eval.gates.trial import Trial, references_of
from rl_eval.gates.verdict import CriterionVerdict
from rl_eval.policy import BUILT_IN

UNTRAINED = 3  # initialisations: one alone may be lucky


def beside_criteria(suite: Suite, arena: Arena) -> list[CriterionVerdict]:
    """The verdicts of `::controls` and `::attainable`, those that the suite has.

    Raises:
        InputError: a policy that the suite names cannot be loaded or does not fit.
    """
    found = []
    if suite.spec.controls:
        found.append(_controls(suite, arena))
    if suite.spec.attainable:
        found.append(_attainable(suite, arena, suite.spec.attainable))
    return found


def what_they_rest_on(suite: Suite, arena: Arena) -> tuple | None:
    """Equal where `beside_criteria` says the same, whatever runs are judged; None where that cannot be known."""
    named = [*suite.spec.controls, *([suite.spec.attainable] if suite.spec.attainable else [])]
    named += [spec for criterion in suite.criteria for spec in criterion.spec.better_than or ()]
    if any(spec.partition(":")[0] not in BUILT_IN for spec in named):
        return None
    return suite.shown, suite.gate_seed, suite.path.read_bytes(), arena.env.model_dump_json(), arena.what_is_played()


def item_verdict(suite: Suite, item: str) -> CriterionVerdict:
    """The verdict of something that is no criterion, without a decision."""
    return CriterionVerdict(
        suite=suite.name,
        criterion=item,
        metric=item,
        decision="ERROR",
        detail="",
        by="evidence",
        direction="",
        unit="policy",
    )


def _controls(suite: Suite, arena: Arena) -> CriterionVerdict:
    rejected, vacuous = [], None
    specs = _expanded(suite, arena)
    for spec in specs:
        trials = _face(suite, arena, spec, clipped=True)
        missed = [trial.verdict for trial in trials if trial.verdict and trial.verdict.decision != "PASS"]
        if not missed:
            each = "; ".join(trial.verdict.detail for trial in trials if trial.verdict)
            vacuous = f"vacuous: {spec} passes every task criterion ({each}), so passing shows nothing: "
            vacuous += "raise a bar, or add a criterion that it misses, such as one better_than it"
            break
        rejected.append(f"{spec} misses {missed[0].criterion}")
    blank = replace(item_verdict(suite, "controls"), units=len(rejected), units_max=len(specs))
    if vacuous:
        return replace(blank, decision="FAIL", detail=vacuous)
    return replace(blank, decision="PASS", detail="no useless policy passes: " + ", ".join(rejected))


def _expanded(suite: Suite, arena: Arena) -> list[str]:
    """Every control by its own name."""
    specs: list[str] = []
    for given in suite.spec.controls:
        if given == "untrained":
            specs += [f"untrained:{which}" for which in range(UNTRAINED)]
        else:
            specs += arena.expand(given)
    return list(dict.fromkeys(specs))


def _attainable(suite: Suite, arena: Arena, spec: str) -> CriterionVerdict:
    trials = _face(suite, arena, spec)
    missed = [trial.verdict for trial in trials if trial.verdict and trial.verdict.decision != "PASS"]
    blank = replace(item_verdict(suite, "attainable"), units=len(trials) - len(missed), units_max=len(trials))
    blank = replace(blank, unit="criterion")
    if not missed:
        return replace(blank, decision="PASS", detail=f"{spec} passes every task criterion")
    worst = next((verdict for verdict in missed if verdict.decision == "FAIL"), missed[0])
    detail = f"{spec}, which the suite calls attainable, misses {worst.criterion}: {worst.detail}"
    return replace(blank, decision=worst.decision, detail=detail)


def _face(suite: Suite, arena: Arena, spec: str, *, clipped: bool = False) -> list[Trial]:
    """The trials of every task criterion; those after the first that is missed may be without a verdict."""
    criteria = [criterion for criterion in suite.criteria if criterion.metric.kind == "task"]
    trials = [trial_of(arena, criterion, clipped=clipped) for criterion in criteria]
    own = [trial for criterion, trial in zip(criteria, trials, strict=True) if _is_reference(arena, criterion, spec)]
    if own:  # no need to play it
        for trial in own:
            detail = f"{spec} is what the criterion compares with, and is not better than itself"
            trial.verdict = replace(trial.blank, decision="FAIL", detail=detail)
    else:
        face(arena, spec, f"{suite.name}: {spec}", trials, until_one_fails=True)
    return trials


def _is_reference(arena: Arena, criterion: Criterion, spec: str) -> bool:
    return spec in references_of(arena, criterion)
