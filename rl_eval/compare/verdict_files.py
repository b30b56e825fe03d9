"""Compare two verdict files of pytest, criterion by criterion, for any policies. Nothing is played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.compare.permutation import MeanDifference, paired_difference
from rl_eval.errors import InputError
from rl_eval.gates.compared import PlayedUnits
from rl_eval.gates.value_definition import different_definition
from rl_eval.gates.verdict import DIRECTION_SIGNS, CriterionVerdict, SuiteVerdict
from rl_eval.gates.verdict_file import read_suite_verdicts


@dataclass(frozen=True)
class CriterionPair:
    """One criterion in both files.

    Attributes:
        before, after: None where a file does not have it.
        difference: after minus before over the episodes that both played; None if there are none.
    """

    name: str
    before: CriterionVerdict | None
    after: CriterionVerdict | None
    difference: MeanDifference | None = None

    @property
    def change(self) -> str:
        """WORSE, BETTER, LOST, WON, or empty: shown on the same episodes, or only by the decisions."""
        if self.before is None or self.after is None:
            return ""
        if self.difference is not None:
            sign = DIRECTION_SIGNS.get(self.after.direction, 1.0)
            low, high = sorted((sign * self.difference.low, sign * self.difference.high))
            if high < 0 or low > 0:
                return "WORSE" if high < 0 else "BETTER"
        passed = [row.decision == "PASS" for row in (self.before, self.after)]
        if "NOT_CHECKED" in (self.before.decision, self.after.decision) or passed[0] == passed[1]:
            return ""
        return "WON" if passed[1] else "LOST"


@dataclass(frozen=True)
class VerdictComparison:
    """Two verdict files.

    Attributes:
        notes: further sentences.
    """

    before: Path
    after: Path
    pairs: tuple[CriterionPair, ...]
    notes: tuple[str, ...] = ()

    @property
    def closes_gate(self) -> bool:
        """Whether a criterion is shown to be worse, or no longer passes."""
        return any(pair.change in ("WORSE", "LOST") for pair in self.pairs)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "before": str(self.before),
            "after": str(self.after),
            "criteria": [_pair_json(pair) for pair in self.pairs],
            "notes": list(self.notes),
            "closes_gate": self.closes_gate,
        }


def are_verdict_files(names: Sequence[str]) -> bool:
    """Whether verdict files are named, rather than runs.

    Raises:
        InputError: some are files and others are not.
    """
    files = [name for name in names if name.endswith(".json") and Path(name).is_file()]
    if files and len(files) < len(names):
        other = next(name for name in names if name not in files)
        raise InputError(f"{files[0]} is a verdict file and {other} is not: compare files with files, runs with runs")
    return bool(files)


def compare_verdict_files(names: Sequence[str], baseline: Sequence[str], alpha: float = 0.05) -> VerdictComparison:
    """The first file, or `baseline`, against the other.

    Raises:
        InputError: there are not two files, one is damaged, or they have no criterion in common.
    """
    files = [Path(name) for name in (*baseline, *names)]
    if len(files) != 2:
        raise InputError(f"{len(files)} verdict files are named: name two, the older one first")
    before, after = ({suite.suite: suite for suite in read_suite_verdicts(file)} for file in files)
    if not before.keys() & after.keys():
        raise InputError(f"{files[0]} and {files[1]} have no suite in common")
    pairs, notes = [], []
    for name in dict.fromkeys([*before, *after]):
        if name in before and name in after:
            _require_equal_definition(name, before[name], after[name], files)
        same = name in before and name in after and before[name].test_set == after[name].test_set is not None
        if name in before and name in after and not same:
            notes.append(f"{name} was played on other episodes, so its differences are not shown")
        pairs += _pairs(name, before.get(name), after.get(name), alpha if same else None)
    return VerdictComparison(files[0], files[1], tuple(pairs), tuple(notes))


def _require_equal_definition(name: str, before: SuiteVerdict, after: SuiteVerdict, files: Sequence[Path]) -> None:
    if different := different_definition(before.defined_by, after.defined_by):
        raise InputError(
            f"{name} was judged in {files[0]} and {files[1]} with another {different}, so its values cannot be "
            "compared: judge the older one again"
        )


def _pairs(
    name: str, before: SuiteVerdict | None, after: SuiteVerdict | None, alpha: float | None
) -> list[CriterionPair]:
    rows: list[Mapping[str, CriterionVerdict]] = [
        {row.criterion: row for row in suite.criteria} if suite else {} for suite in (before, after)
    ]
    return [
        _pair(f"{name}::{item}", rows[0].get(item), rows[1].get(item), alpha)
        for item in dict.fromkeys([*rows[0], *rows[1]])
    ]


def _pair(
    name: str, before: CriterionVerdict | None, after: CriterionVerdict | None, alpha: float | None
) -> CriterionPair:
    difference = None
    if alpha and before and after and before.metric == after.metric and before.played and after.played:
        difference = _difference(before.played, after.played, alpha)
    return CriterionPair(name, before, after, difference)


def _difference(before: PlayedUnits, after: PlayedUnits, alpha: float) -> MeanDifference | None:
    values = [
        {seed: value for seed, value in zip(played.seeds, played.values, strict=True) if value is not None}
        for played in (before, after)
    ]
    common = [seed for seed in values[0] if seed in values[1]]
    if len(common) < 2:
        return None
    x, y = (np.array([one[seed] for seed in common]) for one in values)
    return paired_difference(y, x, alpha)


def _pair_json(pair: CriterionPair) -> dict[str, Any]:
    difference = pair.difference
    return {
        "criterion": pair.name,
        **{
            name: None
            if row is None
            else {"decision": row.decision, "estimate": row.estimate, "interval": row.interval}
            for name, row in (("before", pair.before), ("after", pair.after))
        },
        "difference": None
        if difference is None
        else {
            "estimate": difference.estimate,
            "interval": (difference.low, difference.high),
            "episodes": difference.count,
        },
        "change": pair.change,
    }
