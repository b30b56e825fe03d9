"""The text of `rl-eval qase inspect`: counts, values, unknown fields, features without information."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from rl_eval.domains.qase.environment.features import (
    CASE_FEATURES,
    FEATURES,
    case_features,
    constant_features,
    default_rates,
    extract_features,
)
from rl_eval.domains.qase.formats.enumerations import KNOWN_VALUES
from rl_eval.domains.qase.formats.load import ImportedProject
from rl_eval.domains.qase.live.calls import NotRunnable, parse_case
from rl_eval.domains.qase.model.execution_log import FAIL, PASS
from rl_eval.domains.qase.model.project import Case, CaseStep, Project, short_repr

MAX_ROWS = 20  # rows of one table


def report(imported: ImportedProject) -> Iterator[str]:
    """Lines of text that are safe to print, no matter what the files contain."""
    yield f"read         {', '.join(imported.kinds)}"
    if imported.project is not None:
        yield from _project(imported.project)
    yield from _results(imported)
    if imported.notes:
        yield ""
        yield "notes"
        notes = sorted(imported.notes.items(), key=lambda entry: -entry[1][0])
        for sentence, (count, first) in notes[:MAX_ROWS]:
            yield f"  {count:>9,}  {sentence}; first: {short_repr(first, 200)[1:-1]}"
        if len(notes) > MAX_ROWS:
            yield f"             and {len(notes) - MAX_ROWS} more"
    yield from _features(imported)


def _project(project: Project) -> Iterator[str]:
    cases = project.cases
    yield f"suites       {len(project.suites):,}"
    yield f"cases        {len(cases):,}"
    yield f"steps        {sum(_count(case.steps) for case in cases):,}"
    fields = ", ".join(f"cf_{key}" for key in project.custom_field_ids)
    yield f"fields       {len(project.custom_field_ids)} custom{': ' + fields if fields else ''}"
    yield from _runnable(cases)
    yield ""
    yield "values"
    for name in KNOWN_VALUES:
        counts = Counter(getattr(case, name) for case in cases)
        shares = [
            f"{value if value in KNOWN_VALUES[name] else short_repr(value) + ' (unknown)'} {count:,}"
            for value, count in counts.most_common(MAX_ROWS)
        ]
        more = f", and {len(counts) - MAX_ROWS} more" if len(counts) > MAX_ROWS else ""
        yield f"  {name:<11}{', '.join(shares)}{more}"
    for name in ("is_flaky", "is_muted"):
        yield f"  {name:<11}yes {sum(getattr(case, name) for case in cases):,}"


def _runnable(cases: tuple[Case, ...]) -> Iterator[str]:
    """How many cases `env.mode=live` can run, and the most frequent reasons why it cannot run the others."""
    plans = [parse_case(case) for case in cases]
    reasons = Counter(plan.reason for plan in plans if isinstance(plan, NotRunnable))
    yield f"runnable     {len(cases) - sum(reasons.values()):,} of {len(cases):,} over HTTP"
    for reason, count in reasons.most_common(3):
        yield f"  {count:>9,}  {reason}"
    if len(reasons) > 3:
        yield f"             and {len(reasons) - 3} more reasons; docs/qase-service.md has the form"


def _count(steps: tuple[CaseStep, ...]) -> int:
    return sum(1 + _count(step.steps) for step in steps)


def _results(imported: ImportedProject) -> Iterator[str]:
    results, log = imported.results, imported.log
    if results is not None:
        for from_history in (False, True):
            counts = results.counts(from_history=from_history)
            if counts:
                runs = sum(run.from_history == from_history for run in results.runs)
                yield ""
                yield f"{'earlier ' if from_history else 'results '}     {sum(counts.values()):,} in {runs:,} " \
                      f"run{'s' * (runs != 1)}{', from test-history.json' if from_history else ''}"  # fmt: skip
                for status, count in sorted(counts.items(), key=lambda entry: -entry[1])[:MAX_ROWS]:
                    yield f"  {count:>9,}  {short_repr(status)[1:-1]}"
        if results.muted.any():
            yield f"  {int(results.muted.sum()):>9,}  of them marked as muted"
    if log is not None:
        failed, passed = int((log.verdict == FAIL).sum()), int((log.verdict == PASS).sum())
        yield ""
        yield f"executions   {len(log):,} in {len(log.cycles):,} cycles: {failed:,} failed, {passed:,} passed, " \
              f"{len(log) - failed - passed:,} without a verdict"  # fmt: skip
    if imported.joined is not None:
        by = imported.joined.counts
        unjoined = imported.joined.unjoined
        lost = sum(entry.results for entry in unjoined)
        yield f"joined       {sum(by.values()):,}: " + ", ".join(f"{count:,} by {name}" for name, count in by.items())
        yield f"not joined   {lost:,}"
        for entry in unjoined[:MAX_ROWS]:
            yield f"  {entry.results:>9,}  {short_repr(entry.title)}: {entry.reason}"
        if len(unjoined) > MAX_ROWS:
            yield f"             and {len(unjoined) - MAX_ROWS} more tests"
    elif results is not None and imported.project is None:
        yield "not joined   all: there are no cases; give the export, and these files as --results"


def _features(imported: ImportedProject) -> Iterator[str]:
    project, log = imported.project, imported.log
    if project is None or not project.cases:
        return
    if log is not None and len(log):
        states, source = extract_features(project, log), f"{len(log):,} executions"
    else:
        states, source = case_features(project), f"{len(project.cases):,} cases, without any history"
    rates = default_rates(states)
    yield ""
    yield f"features     share of rows where each has its default value, of {source}"
    names = FEATURES[: states.shape[1]]
    cells = [f"{name:<24}{rate:>7.1%}" for name, rate in zip(names, rates, strict=True)]
    rows = -(-len(cells) // 3)
    for i in range(rows):
        yield "  " + "   ".join(cells[i::rows])
    constant = constant_features(states)
    yield ""
    yield f"constant     {len(constant)} of {len(names)}: {', '.join(constant) or 'none'}"
    if np.all(rates[: len(CASE_FEATURES)] == 1):
        yield "             every case has default values only: is this the right file, with the right field names?"
