"""What a suite's verdict is about and rests on: its test set, and what is assumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.formatting import display_text, number, quantity
from rl_eval.gates.criterion import Criterion
from rl_eval.gates.selection import BarePolicy
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import PLACE, needs_data
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.override_text import override
from rl_eval.run import Run


def with_premises(suite: Suite, judged: Sequence[Run | BarePolicy], verdict: SuiteVerdict) -> SuiteVerdict:
    """The verdict with `test_data` and `assumed`; as it is where nothing could be played or the data cannot be read."""
    held_out = next((one for one in verdict.criteria if one.criterion == "held_out"), None)
    if (held_out is None or held_out.units_max is None) and {one.decision for one in verdict.criteria} == {"ERROR"}:
        return verdict
    try:
        text = describe_test_set(suite, judged, held_out)
    except InputError:
        return verdict
    return replace(verdict, test_data=text, assumed=tuple(assumptions(suite)))


def describe_test_set(suite: Suite, judged: Sequence[Run | BarePolicy], held_out: CriterionVerdict | None) -> str:
    """One line on what is played: how many cases or episodes there are, and where they come from.

    Raises:
        InputError: the data cannot be loaded.
    """
    count = ""
    if held_out is not None and held_out.units_max is not None:
        count = quantity(held_out.units_max, held_out.unit or "unit")
    if not needs_data(suite.judged) and not domain(suite.judged.name).fingerprints(suite.judged):
        episodes = count or ("episodes" if suite.part == "test" else "validation episodes")
        text = f"{episodes} of {_environment(suite)}, seeded by gate_seed {suite.gate_seed}"
    else:
        where = domain(suite.judged.name)
        cases = None if needs_data(suite.judged) else where.describe_cases(suite.judged, suite.part)
        text = f"{f'{count}, ' if count else ''}the {suite.part} part of {_data(suite, judged)}"
        text += f" ({cases})" if cases else ""
    return display_text(text + (", pinned by data_sha256" if suite.spec.data_sha256 and suite.part == "test" else ""))


def _data(suite: Suite, judged: Sequence[Run | BarePolicy]) -> str:
    if needs_data(suite.judged):
        return f"the data of {judged[0].path}, because the suite names none"
    keys = domain(suite.judged.name).location_keys
    places = {key: value for key in keys if (value := getattr(suite.judged, key)) is not None}
    if not places:
        return _environment(suite)
    return str(places[PLACE]) if places.keys() == {PLACE} else ", ".join(f"{key}={at}" for key, at in places.items())


def _environment(suite: Suite) -> str:
    """Its name, and what the suite sets of it."""
    named = {} if isinstance(suite.spec.env, str) else suite.spec.env
    settings = {key: value for key, value in {**named, **suite.spec.judge_on}.items() if key != "name"}
    return " ".join([suite.judged.name, *(override(key, value) for key, value in settings.items())])


def assumptions(suite: Suite) -> list[str]:
    """What the verdict takes for granted, a phrase each; it holds for as long as they do."""
    return [display_text(phrase) for phrase in _assumptions(suite)]


def _assumptions(suite: Suite) -> Iterator[str]:
    by_evidence = [criterion for criterion in suite.criteria if criterion.spec.by == "evidence"]
    played = [criterion for criterion in by_evidence if criterion.metric.kind == "task"]
    if played:
        if suite.spec.population == "source":
            units = " and ".join(sorted({f"{criterion.unit}s" for criterion in played}))
            yield f"{units} are independent draws of one source"
        yield "the policy does not change while it is judged"
    bounds = {c.bounds for c in played if c.metric.bounds is None and c.bounds is not None}
    for low, high in sorted(bounds):
        yield f"no episode returns less than {number(low, 6)} or more than {number(high, 6)}"
    over_runs = [criterion for criterion in by_evidence if criterion.metric.kind == "run"]
    if normal := [criterion for criterion in over_runs if criterion.spec.assume == "normal"]:
        yield f"runs are normally distributed ({_names(normal)})"
    if any(criterion.spec.assume is None for criterion in over_runs):
        yield "runs are independent results of the same training"
    if by_evidence:
        yield f"alpha {number(suite.spec.alpha)} for each criterion"
    estimates = [c for c in suite.criteria if c.spec.by == "estimate" and c.metric.kind in ("task", "run")]
    if estimates:
        yield f"chance is not considered in {_names(estimates)}"


def _names(criteria: Sequence[Criterion]) -> str:
    return ", ".join(criterion.name for criterion in criteria)
