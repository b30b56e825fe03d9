"""The criteria of the runs' own verdicts, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.compare.entry import Entry
from rl_eval.compare.groups import Group
from rl_eval.errors import InputError
from rl_eval.run import read_json

# What one criterion must have in common before its decisions are compared.
_OF_THE_SUITE, _OF_THE_CRITERION = (
    ("gate_seed", "gate_set", "alpha", "policy"),
    ("metric", "by", "direction", "threshold"),
)


def side_by_side(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """`<suite>/<criterion>` -> in each group, how many of its runs pass, such as `7/8`.

    Raises:
        InputError: a run has no verdict, or two were not judged alike: by another gate seed, set, or threshold.
    """
    seen: dict[str, tuple[Entry, dict[str, Any]]] = {}
    passes: dict[str, list[list[bool]]] = {}
    for which, group in enumerate(groups):
        for entry in group.entries:
            for suite in _suites(entry):
                for row in suite["criteria"]:
                    if row.get("decision") == "NEEDS_RUNS":
                        continue  # no run alone decides it
                    name = f"{suite.get('suite')}/{row.get('criterion')}"
                    alike = {key: suite.get(key) for key in _OF_THE_SUITE}
                    alike |= {key: row.get(key) for key in _OF_THE_CRITERION if not row.get("reference")}
                    first, ours = seen.setdefault(name, (entry, alike))
                    for key, value in alike.items():
                        if ours.get(key, value) != value:
                            raise InputError(
                                f"{name} was judged with {key} {value!r} for {entry.name} and {ours[key]!r} for "
                                f"{first.name}, so the verdicts cannot be compared: judge all of them again with "
                                "`pytest suites/ --run`, or leave out --verdicts"
                            )
                    table = passes.setdefault(name, [[] for _ in groups])
                    table[which].append(row.get("decision") == "PASS")
    return {
        name: tuple(f"{sum(each)}/{len(each)}" if each else "-" for each in table) for name, table in passes.items()
    }


def _suites(entry: Entry) -> list[dict[str, Any]]:
    if entry.run is None:
        raise InputError(f"{entry.name} comes from W&B, which does not keep gate seeds: leave out --verdicts")
    file = entry.run.path / "verdict.json"
    suites = read_json(file).get("suites")
    if not isinstance(suites, list) or not all(map(_is_suite, suites)):
        raise InputError(f"{file} holds no verdict of ours: leave out --verdicts")
    return suites


def _is_suite(values: Any) -> bool:
    criteria = values.get("criteria") if isinstance(values, Mapping) else None
    return isinstance(criteria, list) and all(isinstance(row, Mapping) for row in criteria)
