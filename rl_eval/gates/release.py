"""`--rl-against`: no worse than the last release, by evidence, on the same episodes.

Each task criterion with a `margin` next to `at_least` or `at_most` gets a second one, `<name>_no_worse`: the policy may
be worse than the release by less than this margin. A release is a policy that plays, or a verdict file that has the
values which its policy had on the same seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rl_eval import policy
from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS
from rl_eval.formatting import display_text, number
from rl_eval.gates.compared import Compared
from rl_eval.gates.criterion import Criterion, evidence_bounds, evidence_unit
from rl_eval.gates.suite import Suite
from rl_eval.gates.value_definition import different_definition, value_definition
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.gates.verdict_file import read_suite_verdicts

SUFFIX = "_no_worse"


@dataclass(frozen=True)
class Release:
    """What a policy may not be worse than.

    Attributes:
        name: of the policy, or of the verdict file.
        key: what decides how it compares, for the verdict cache.
        suites: the suites of a verdict file, by name; None for a policy, which plays.
    """

    name: str
    key: str
    suites: Mapping[str, SuiteVerdict] | None = None


def read_release(name: str, folder: Path) -> Release:
    """The release that a person named: a run directory, a policy, or a verdict file of pytest.

    Args:
        folder: what a relative path is relative to.

    Raises:
        InputError: it is none of these, or the file is damaged.
    """
    if policy.names_policy(name):
        spec = policy.canonical(name)
        return Release(spec, f"{spec} {policy.identity(spec)}")
    path = folder / name
    if path.is_file() and path.suffix == ".json":
        suites = read_suite_verdicts(path)
        return Release(name, policy.digest(path), {suite.suite: suite for suite in suites})
    if path.is_dir():
        spec = policy.canonical(str(path))
        return Release(spec, f"{spec} {policy.identity(spec)}")
    raise policy.not_a_policy(name)


def with_release(suite: Suite, release: Release) -> Suite:
    """The suite with a further criterion for each task criterion that has no reference of its own.

    Raises:
        InputError: a criterion of the suite has the name of a further one.
    """
    own = [c for c in suite.criteria if c.metric.kind == "task" and c.spec.better_than is None]
    further = [_no_worse(suite, criterion, release) for criterion in own]
    taken = next((criterion.name for criterion in further if criterion.name in suite.items), None)
    if taken is not None:
        raise InputError(f"{suite.label}: criteria.{taken} has the name that --rl-against uses: give it another name")
    if all(criterion.compared is not None and criterion.compared.unable for criterion in further):
        further = [_as_error(criterion) for criterion in further]  # nothing is compared, though somebody asked for it
    items = {criterion.name: criterion.line for criterion in (*suite.criteria, *further)}
    return replace(suite, criteria=(*suite.criteria, *further), items={**items, **suite.items}, release_key=release.key)


def _no_worse(suite: Suite, criterion: Criterion, release: Release) -> Criterion:
    margin = criterion.spec.margin
    metric = criterion.metric
    better: Literal["lower", "higher"] = "lower" if criterion.spec.at_most is not None else "higher"
    spec = criterion.spec.model_copy(
        update={
            "at_least": None,
            "at_most": None,
            "better_than": [release.name],
            "margin": -(margin or 0.0),
            "by": "evidence",
        }
    )
    compared = _compared(suite, criterion, release)
    bounds = None if metric.name in RATIO_METRICS else _bounds(suite, criterion)
    return replace(
        criterion,
        name=f"{criterion.name}{SUFFIX}",
        spec=spec,
        metric=replace(metric, better=better),
        bounds=bounds,
        unit=evidence_unit(suite.spec, metric, suite.judged),
        compared=compared,
    )


def _compared(suite: Suite, criterion: Criterion, release: Release) -> Compared:
    name, metric = criterion.name, criterion.metric
    if criterion.spec.margin is None:
        return Compared(
            f"not compared with {release.name}, since {suite.label} names no margin: write how much worse it may be as "
            f"criteria.{name}.margin"
        )
    if metric.name not in RATIO_METRICS and (metric.variable is None or _bounds(suite, criterion) is None):
        why = "is not a mean of units" if metric.variable is None else "has no bounds: set episodes.return_bounds"
        return Compared(f"cannot be compared with {release.name} by evidence, since {metric.name} {why}", "ERROR")
    if release.suites is None:
        return Compared()
    verdict = release.suites.get(suite.name)
    row = None if verdict is None else _row(verdict, name)
    if verdict is None or row is None:
        return Compared(f"{release.name} has no criterion {suite.name}::{name}: judge the release again", "ERROR")
    if row.decision == "ERROR":
        return Compared(f"{release.name} was not judged on {name}, it was an ERROR: {row.detail}", "ERROR")
    if row.played is None or row.metric != criterion.shown_metric:
        why = "no values of single episodes" if row.metric == criterion.shown_metric else f"the values of {row.metric}"
        return Compared(
            f"{release.name} has {why} for {name}: name the run or the policy of the release instead", "ERROR"
        )
    different = different_definition(verdict.defined_by, value_definition(suite), name)
    return Compared(played=row.played, test_set=verdict.test_set, different=different)


def _bounds(suite: Suite, criterion: Criterion) -> tuple[float, float] | None:
    return criterion.spec.bounds or evidence_bounds(suite.spec, criterion.metric, suite.judged)


def _row(verdict: SuiteVerdict, name: str) -> CriterionVerdict | None:
    return next((row for row in verdict.criteria if row.criterion == name), None)


def _as_error(criterion: Criterion) -> Criterion:
    assert criterion.compared is not None
    return replace(criterion, compared=replace(criterion.compared, decision="ERROR"))


def unable_to_compare(blank: CriterionVerdict, compared: Compared, test_set: str | None) -> CriterionVerdict | None:
    """The verdict of a criterion that is not compared; None if it is.

    Args:
        test_set: the fingerprint of what is played.
    """
    if compared.unable is not None:
        return replace(blank, decision=compared.decision, detail=display_text(compared.unable))
    if compared.different:
        detail = f"the release was judged with another {compared.different}: judge it again"
        return replace(blank, detail=display_text(detail))
    if compared.played is not None and (test_set is None or compared.test_set != test_set):
        detail = "the release was judged on other episodes (another environment, or another gate_seed): judge it again"
        return replace(blank, detail=detail)
    return None


def margin_note(criterion: Criterion) -> str | None:
    """What a PASS must say where a margin had nothing to do with it."""
    if criterion.spec.margin is None or criterion.spec.better_than is not None:
        return None
    return f"its margin of {number(criterion.spec.margin)} is only for --rl-against, and does not move the bar"
