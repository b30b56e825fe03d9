"""`FlowRows`: new flows as a run's observations, and what decisions on them cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from gymnasium.spaces import Box, Discrete

from rl_eval.domains.rows import ExpectedCost, RowChunk, RowReader
from rl_eval.domains.threat.config import ACTIONS, ALLOW, Config
from rl_eval.domains.threat.data import FlowSet, load_dataset
from rl_eval.domains.threat.fitted_preprocessing import FittedPreprocessing
from rl_eval.domains.threat.flow_table import Reading
from rl_eval.domains.threat.preprocess import CLIP, of_fitted
from rl_eval.extras import imports_of_extra
from rl_eval.policy import Policy

CALIBRATION_FLOWS = 100_000
CALIBRATION_GROUP = 50
CALIBRATION_GROUPS = 20  # at least, where there are as many flows: a single one would make every flow the same
FEW_FLOWS = 1_000  # of validation, for a rough estimate of P(threat)
_BATCH_FLOWS = 4096  # a call of the policy


class FlowRows(RowReader):
    """Reads files with the columns that the run was trained on, in any order; other columns do not matter."""

    def __init__(self, config: Config, fitted: FittedPreprocessing):
        self._config = config.model_copy(update={"preprocessing": fitted})
        self._preprocessing = of_fitted(fitted)
        self.observation_space = Box(-CLIP, CLIP, (self._preprocessing.width,), np.float32)
        self.action_space = Discrete(len(ACTIONS))
        self.columns = _columns(fitted)

    def chunks(self, source: Path | BinaryIO, keep: Sequence[str]) -> Iterator[RowChunk]:
        """The flows; NSL-KDD's files have no header, others have one."""
        with imports_of_extra("threat", "scoring flows"):
            from rl_eval.domains.threat import nsl_kdd
            from rl_eval.domains.threat.columns.fields import table_of
            from rl_eval.domains.threat.row_chunks import row_chunks
        headerless: Mapping[int, Sequence[str]] = {}
        if self._config.data == "nsl_kdd":
            names = (*nsl_kdd.FEATURES, "label", "difficulty")
            headerless = {width: names[:width] for width in (41, 42, 43)}
        numbers = {field.name for field in self._preprocessing.numeric}
        categories = {field.name for field in self._preprocessing.categorical}
        typed = self._preprocessing.reading.typed
        derived = {name for column in typed for name in (*column.numbers, *column.categories)}
        reading = Reading(
            columns=tuple(self.columns),
            numbers=frozenset(numbers - derived),
            typed=typed,
            events=self._preprocessing.reading.events,
        )
        since = [column.since for column in typed if column.since and column.column in self.columns]
        needed = dict.fromkeys((*self.columns, *since, *keep))
        for sheet in row_chunks(source, tuple(needed), headerless, reading.events):
            rows = len(sheet)
            nothing = np.zeros(rows, np.int8)
            table = table_of(sheet, reading, nothing, ("",), nothing, missing_allowed=self._config.missing != "error")
            assert {*table.numeric_names, *table.categorical_names} >= numbers | categories
            kept = {name: sheet.text(name).to_list() for name in keep}
            observations = self._preprocessing.transform(table)
            yield RowChunk(sheet.lines.tolist(), observations, kept, self._unknown(observations))

    def _unknown(self, observations: np.ndarray) -> dict[str, int]:
        """Levels that the policy sees as one, `<other>`, and numbers so far out that they are clipped."""
        odd = np.zeros(observations.shape, bool)
        numbers = len(self._preprocessing.numeric)
        odd[:, :numbers] = np.abs(observations[:, :numbers]) >= CLIP
        place = self._preprocessing.width
        for field in reversed(self._preprocessing.categorical):
            odd[:, place - 1] = observations[:, place - 1] == 1.0
            place -= len(field.levels) + 1
        return {column: int(odd[:, places].any(axis=1).sum()) for column, places in self.columns.items()}

    def typical_observation(self) -> np.ndarray:
        """Medians of numbers and the most frequent values of categories, in the training part."""
        train = self._part("train").features
        typical = np.zeros(train.shape[1], np.float32)
        numbers = len(self._preprocessing.numeric)
        typical[:numbers] = np.median(train[:, :numbers], axis=0)
        first = numbers + sum(field.indicator for field in self._preprocessing.numeric)
        typical[numbers:first] = np.median(train[:, numbers:first], axis=0)
        for field in self._preprocessing.categorical:
            width = len(field.levels) + 1
            typical[first + int(train[:, first : first + width].sum(axis=0).argmax())] = 1.0
            first += width
        return typical

    def expected_cost(self, policy: Policy) -> ExpectedCost:
        """By the share of threats among validation flows that the policy is as ready to flag.

        With probabilities that share is a non-decreasing function of 1 - P(allow), else one number per action.
        """
        part = self._part("validation")
        features, label = part.features[:CALIBRATION_FLOWS], part.label[:CALIBRATION_FLOWS]
        batches = [features[i : i + _BATCH_FLOWS] for i in range(0, len(features), _BATCH_FLOWS)]
        costs = np.asarray(self._config.costs)
        if hasattr(policy, "probabilities"):
            flagging = np.concatenate([1.0 - policy.probabilities(batch)[:, ALLOW] for batch in batches])
            threat = isotonic_regression(flagging, label)
        else:
            actions = np.concatenate([policy.act(batch, True) for batch in batches])
            chosen, threats = (np.bincount(actions, w, len(ACTIONS)) for w in (None, label.astype(float)))
            share = np.where(chosen > 0, _uncertain(threats, chosen), label.mean())

        def cost(actions: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
            p = share[actions] if probabilities is None else threat(1.0 - probabilities[:, ALLOW])
            return (1.0 - p) * costs[0, actions] + p * costs[1, actions]

        return cost

    def cost_note(self) -> str | None:
        """Says so where there are few validation flows."""
        label = self._part("validation").label
        if len(label) >= FEW_FLOWS:
            return None
        return (
            f"expected_cost is rough: P(threat) is estimated from {len(label):,} validation flows, "
            f"{int(label.sum()):,} of them threats"
        )

    def _part(self, name: str) -> FlowSet:
        return load_dataset(self._config).parts[name]


def isotonic_regression(score: np.ndarray, label: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """P(label = 1) as a non-decreasing step function of a score: pooled adjacent violators (Ayer et al. 1955).

    A step of n labels is at least 1 / (n + 2) and at most (n + 1) / (n + 2), since n equal labels prove no certainty
    (Laplace's rule of succession).

    Scores are first put into groups of about 50 in their order, or into 20 groups where there are fewer; a step is
    midway between two groups. On the scores themselves its mean is the mean of the labels.

    Args:
        score: `[R]`, of any range.
        label: `[R]` 0 or 1.
    """
    order = np.argsort(score, kind="stable")
    pooled: list[tuple[float, float, float, int]] = []  # least and largest score, sum of labels, count
    for group in np.array_split(order, max(min(len(order), CALIBRATION_GROUPS), len(order) // CALIBRATION_GROUP)):
        least, most, labels, count = (
            float(score[group[0]]),
            float(score[group[-1]]),
            float(label[group].sum()),
            len(group),
        )
        while pooled and (labels / count <= pooled[-1][2] / pooled[-1][3] or least == pooled[-1][1]):
            earlier = pooled.pop()
            least, labels, count = earlier[0], labels + earlier[2], count + earlier[3]
        pooled.append((least, most, labels, count))
    steps = np.array([(lower[1] + upper[0]) / 2 for lower, upper in itertools.pairwise(pooled)])
    labels_of, counts = (np.array([entry[i] for entry in pooled]) for i in (2, 3))
    share = np.maximum.accumulate(_uncertain(labels_of, counts))
    return lambda new: share[np.searchsorted(steps, new)]


def _uncertain(threats: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """The share of threats among flows, kept away from 0 and 1."""
    return np.clip(threats / np.maximum(flows, 1), 1.0 / (flows + 2.0), (flows + 1.0) / (flows + 2.0))


def _columns(fitted: FittedPreprocessing) -> dict[str, np.ndarray]:
    """Column of the data -> the places of the observation that are made of it, integers."""
    column_of = {name: c.column for c in fitted.typed for name in (*c.numbers, *c.categories)}
    places: dict[str, list[int]] = {}
    for place, field in enumerate(of_fitted(fitted).fields()):
        places.setdefault(column_of.get(field, field), []).append(place)
    return {name: np.array(indices) for name, indices in places.items()}
