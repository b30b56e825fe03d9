"""Check the suite itself: no useless policy may pass it, and the policy that it calls attainable must.

A gate that a useless policy passes measures nothing: blocking everything has an F1 of .73 on KDDTest+.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rl_eval.gates.criterion_check import CriterionCheck, reference_policies
from rl_eval.gates.play_criteria import new_check, play_criteria
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.gates.verdict import CriterionVerdict, item_verdict, more_than_the_set
from rl_eval.policy import BUILT_IN

UNTRAINED = 3  # initialisations: a single one may be lucky


def control_verdicts(suite: Suite, environment: SuiteEnvironment) -> list[CriterionVerdict]:
    """The verdicts of `::controls` and `::attainable`, those that the suite has.

    Raises:
        InputError: a policy that the suite names cannot be loaded or does not fit.
    """
    verdicts = []
    if suite.spec.controls:
        verdicts.append(_controls(suite, environment))
    if suite.spec.attainable:
        verdicts.append(_attainable(suite, environment, suite.spec.attainable))
    return verdicts


def control_key(suite: Suite, environment: SuiteEnvironment) -> tuple | None:
    """Equal where `control_verdicts` gives the same for all judged runs; None if that cannot be known."""
    policies = [*suite.spec.controls, *([suite.spec.attainable] if suite.spec.attainable else [])]
    policies += [spec for criterion in suite.criteria for spec in criterion.spec.better_than or ()]
    if any(spec.partition(":")[0] not in BUILT_IN for spec in policies):
        return None
    config = environment.config.model_dump_json()
    return suite.label, suite.gate_seed, suite.part, suite.text, config, environment.played_units()


def _controls(suite: Suite, environment: SuiteEnvironment) -> CriterionVerdict:
    rejected: dict[str, list[str]] = {}  # criterion -> the policies that miss it
    undecided, vacuous = [], None
    specs = _expanded(suite, environment)
    for spec in specs:
        checks = _play(suite, environment, spec, clipped=True)
        decisions = {check.verdict.decision for check in checks if check.verdict}
        if decisions == {"PASS"}:
            details = "; ".join(check.verdict.detail for check in checks if check.verdict)
            vacuous = f"vacuous: {spec} passes every task criterion ({details}), so passing shows nothing: "
            vacuous += "raise a bar, or add a criterion that it misses, such as one better_than it"
            break
        # an undecided criterion is not missed: with more episodes the policy might pass it
        missed = next((check.verdict for check in checks if check.missed and check.verdict), None)
        if missed:
            rejected.setdefault(missed.criterion, []).append(spec)
        else:
            open_criteria = [check.verdict.criterion for check in checks if _is_open(check)]  # type: ignore[union-attr]
            undecided.append(f"{spec} on {', '.join(open_criteria)}")
    blank = replace(item_verdict(suite.name, "controls"), units=sum(map(len, rejected.values())), units_max=len(specs))
    if vacuous:
        return replace(blank, decision="FAIL", detail=vacuous)
    if undecided:
        detail = f"undecided: {'; '.join(undecided)}; no criterion is missed, so the suite may measure nothing: "
        more = (
            more_than_the_set(suite.spec.population)
            if environment.plays_whole_set
            else "allow more episodes (episodes.max), give more data"
        )
        detail += f"{more}, or add a criterion that useless policies miss"
        return replace(blank, decision="INCONCLUSIVE", detail=detail)
    misses = (f"{name}: {_in_short(specs)}" for name, specs in rejected.items())
    return replace(blank, decision="PASS", detail=f"useless policies miss {'; '.join(misses)}")


def _in_short(specs: Sequence[str]) -> str:
    """Names, where `untrained:0, untrained:1, untrained:2` is `untrained:0-2`."""
    parts: list[tuple[str, int | None, int | None]] = []  # kind, the first and the last number
    for spec in specs:
        kind, _, text = spec.rpartition(":")
        number = int(text) if kind and text.isascii() and text.isdigit() else None
        if number is None:
            parts.append((spec, None, None))
        elif parts and parts[-1][0] == kind and parts[-1][2] == number - 1:
            parts[-1] = (kind, parts[-1][1], number)
        else:
            parts.append((kind, number, number))
    texts = [
        name if first is None else f"{name}:{first}{'' if first == last else f'-{last}'}" for name, first, last in parts
    ]
    return ", ".join(texts)


def _is_open(check: CriterionCheck) -> bool:
    return check.verdict is not None and check.verdict.decision == "INCONCLUSIVE"


def _expanded(suite: Suite, environment: SuiteEnvironment) -> list[str]:
    """Every control by its own name."""
    specs: list[str] = []
    for control in suite.spec.controls:
        if control == "untrained":
            specs += [f"untrained:{number}" for number in range(UNTRAINED if environment.has_untrained else 0)]
        else:
            specs += environment.expand(control)
    return list(dict.fromkeys(specs))


def _attainable(suite: Suite, environment: SuiteEnvironment, spec: str) -> CriterionVerdict:
    checks = _play(suite, environment, spec)
    missed = [check.verdict for check in checks if check.verdict and check.verdict.decision != "PASS"]
    passed = len(checks) - len(missed)
    blank = replace(item_verdict(suite.name, "attainable"), units=passed, units_max=len(checks), unit="criterion")
    if not missed:
        return replace(blank, decision="PASS", detail=f"{spec} passes every task criterion")
    worst = next((verdict for verdict in missed if verdict.decision == "FAIL"), missed[0])
    detail = f"{spec}, the policy that must pass (attainable), misses {worst.criterion}: {worst.detail}"
    return replace(blank, decision=worst.decision, detail=detail)


def _play(suite: Suite, environment: SuiteEnvironment, spec: str, *, clipped: bool = False) -> list[CriterionCheck]:
    """The checks of every task criterion; those after the first that is missed may be without a verdict."""
    criteria = [c for c in suite.criteria if c.metric.kind == "task" and c.compared is None]
    checks = [new_check(environment, criterion, clipped=clipped) for criterion in criteria]
    against_itself = [
        check
        for criterion, check in zip(criteria, checks, strict=True)
        if spec in reference_policies(environment, criterion)
    ]
    if against_itself:  # no need to play it
        for check in against_itself:
            detail = f"{spec} is the reference of this criterion, and not better than itself"
            check.verdict = replace(check.blank, decision="FAIL", detail=detail)
    else:
        play_criteria(environment, spec, f"{suite.name}: {spec}", checks, until_one_fails=True)
    return checks
