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
from rl_eval.domains.threat.flow_table import Table
from rl_eval.domains.threat.preprocess import CLIP, Preprocessing
from rl_eval.extras import imports_of_extra
from rl_eval.policy import Policy

CALIBRATION_FLOWS = 100_000
CALIBRATION_GROUP = 50
CALIBRATION_GROUPS = 20  # at least, where there are as many flows: a single one would make every flow the same
_BATCH_FLOWS = 4096  # a call of the policy


class FlowRows(RowReader):
    """Reads CSV or Parquet with the columns that the run was trained on, in any order; other columns do not matter."""

    def __init__(self, config: Config, fitted: FittedPreprocessing):
        self._config = config.model_copy(update={"preprocessing": fitted})
        self._preprocessing = Preprocessing(fitted.numeric, fitted.categorical, fitted.dropped)
        self.observation_space = Box(-CLIP, CLIP, (self._preprocessing.width,), np.float32)
        self.action_space = Discrete(len(ACTIONS))
        self.columns = _columns(fitted)

    def chunks(self, source: Path | BinaryIO, keep: Sequence[str]) -> Iterator[RowChunk]:
        """The flows; NSL-KDD's files have no header, others have one."""
        with imports_of_extra("threat", "scoring flows"):
            from rl_eval.domains.threat import nsl_kdd
            from rl_eval.domains.threat.row_stream import read_chunks
        headerless: Mapping[int, Sequence[str]] = {}
        if self._config.data == "nsl_kdd":
            names = (*nsl_kdd.FEATURES, "label", "difficulty")
            headerless = {width: names[:width] for width in (41, 42, 43)}
        for sheet in read_chunks(source, tuple(dict.fromkeys((*self.columns, *keep))), headerless):
            numeric = tuple(field.name for field in self._preprocessing.numeric)
            categorical = tuple(field.name for field in self._preprocessing.categorical)
            coded = [sheet.levels(name) for name in categorical]
            rows = len(sheet.frame)
            table = Table(
                numeric_names=numeric,
                numeric=np.stack([sheet.numbers(n) for n in numeric], axis=1) if numeric else np.zeros((rows, 0)),
                categorical_names=categorical,
                levels=tuple(levels for levels, _ in coded),
                codes=np.stack([codes for _, codes in coded], axis=1) if coded else np.zeros((rows, 0), np.int32),
                label=np.zeros(rows, np.int8),
                category_names=("",),
                category=np.zeros(rows, np.int16),
            )
            kept = {name: sheet.text(name).to_list() for name in keep}
            observations = self._preprocessing.transform(table)
            yield RowChunk(sheet.lines.tolist(), observations, kept, self._unknown(observations))

    def _unknown(self, observations: np.ndarray) -> dict[str, int]:
        """Levels that the policy sees as one, `<other>`, and numbers so far out that they are clipped."""
        counts = {
            field.name: int((np.abs(observations[:, self.columns[field.name]]) >= CLIP).sum())
            for field in self._preprocessing.numeric
        }
        for field in self._preprocessing.categorical:
            counts[field.name] = int(observations[:, self.columns[field.name].stop - 1].sum())
        return counts

    def typical_observation(self) -> np.ndarray:
        """Medians of numbers and the most frequent values of categories, in the training part."""
        train = self._part("train").features
        typical = np.zeros(train.shape[1], np.float32)
        numbers = len(self._preprocessing.numeric)
        typical[:numbers] = np.median(train[:, :numbers], axis=0)
        for field in self._preprocessing.categorical:
            place = self.columns[field.name]
            typical[place.start + int(train[:, place].sum(axis=0).argmax())] = 1.0
        return typical

    def expected_cost(self, policy: Policy) -> ExpectedCost:
        """By the share of threats among validation flows that the policy is as ready to flag.

        With probabilities that share is a non-decreasing function of 1 - P(allow), else one number an action.
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
            share = np.where(chosen > 0, threats / np.maximum(chosen, 1), label.mean())

        def cost(actions: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
            p = share[actions] if probabilities is None else threat(1.0 - probabilities[:, ALLOW])
            return (1.0 - p) * costs[0, actions] + p * costs[1, actions]

        return cost

    def _part(self, name: str) -> FlowSet:
        return load_dataset(self._config).parts[name]


def isotonic_regression(score: np.ndarray, label: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """P(label = 1) as a non-decreasing step function of a score: pooled adjacent violators (Ayer et al. 1955).

    Scores are first put into groups of about 50 in their order, or into 20 groups where there are fewer; a step lies
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
    share = np.array([labels / count for _, _, labels, count in pooled])
    return lambda new: share[np.searchsorted(steps, new)]


def _columns(fitted: FittedPreprocessing) -> dict[str, slice]:
    places = {field.name: slice(i, i + 1) for i, field in enumerate(fitted.numeric)}
    first = len(fitted.numeric)
    for field in fitted.categorical:
        width = len(field.levels) + 1
        places[field.name] = slice(first, first + width)
        first += width
    return places
