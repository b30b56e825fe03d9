"""Is a ratio metric better than a reference's by a margin? Both judge the same cases, and both values are unknown.

Accuracy, recall and the false-positive rate have the same informative cases for both policies (all, the positive, the
negative ones). So the difference of the two is a share too, of h₁ − h₂ among them, and `SharedCasesTest` tests it.

Precision and F1 have informative cases that depend on the policy. Each is a ratio ρ = E[a] / E[b]: a = TP and
b = TP + FP for precision, a = 2 TP and b = 2 TP + FP + FN for F1. `JointTest` refutes "ρ₁ ≤ ρ₂ + margin", which is

    for some θ:   ρ₁ ≤ θ   and   ρ₂ ≥ θ − margin.

For every θ it bets on both halves, on the same cases:

    z₁ = a₁ − θ b₁ has mean ≤ 0,   z₂ = (θ − margin) b₂ − a₂ has mean ≤ 0,
    Kθ = ∏ (1 + λ₁ z₁ + λ₂ z₂),   λ₁, λ₂ ≥ 0 and fixed,

averaged over pairs (λ₁, λ₂). Under the claim to be refuted, its own θ has Kθ ≥ 1/α at any time with probability
≤ α. So the claim is refuted once every θ has been, each at a time of its own.

θ runs over cells, each with its own pairs. For one pair log Kθ is concave in θ, a sum of logarithms of functions that
are linear in θ. So on a cell it is not below the smaller of its values at the two ends, and the mean over the pairs
of those smaller values bounds the cell from below. No θ between is forgotten.

On a finite set both terms are centred on what is left (`finite_population`), which stays linear in θ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence.betting import LARGEST_STAKE
from rl_eval.evidence.direction import Direction
from rl_eval.evidence.finite_population import remaining_mean, sum_before
from rl_eval.evidence.ratio_metrics import RatioCounts, check_counts, check_longest, ratio_value
from rl_eval.evidence.result import units_needed
from rl_eval.evidence.sequential import SequentialTest, ShareTest
from rl_eval.evidence.share_interval import log_mean_exp

SHARED_CASES = ("accuracy", "recall", "false_positive_rate")
JOINT = ("precision", "f1")

_CELLS = 40
# λ₂ / λ₁; the best ratio is that of the shares of informative cases, which policies need not have in common.
_RATIOS = np.array([0.25, 0.5, 1.0, 2.0, 4.0])
_STAKES = np.geomspace(0.03, LARGEST_STAKE, 8)
_CHUNK = 128
_BISECTIONS = 14


def ratio_difference_test(
    metric: str,
    margin: float,
    alpha: float = 0.05,
    direction: Direction = "better_than",
    population: int | None = None,
    longest: int = 1,
    limit: int | None = None,
) -> SharedCasesTest | JointTest:
    """The test of a ratio metric against a reference's.

    Args:
        metric: one of `RATIO_METRICS`.
        margin: PASS is for a difference of at least (`at_least`) or more than (`better_than`) this, or less than it.
        alpha, direction, population, longest, limit: as of `RatioTest`.

    Raises:
        InputError: an argument makes no sense.
    """
    if not -1.0 <= margin <= 1.0:
        raise InputError(f"the margin {margin:g} of {metric} is outside [-1, 1]")
    check_longest(longest)
    kind = SharedCasesTest if metric in SHARED_CASES else JointTest
    return kind(metric, margin, alpha, direction, population, longest, limit)


class _BothCounts(NamedTuple):
    first: RatioCounts
    second: RatioCounts


class SharedCasesTest(ShareTest):
    """Accuracy, recall or false-positive rate minus the reference's; see the module."""

    def __init__(
        self,
        metric: str,
        margin: float,
        alpha: float,
        direction: Direction,
        population: int | None,
        longest: int,
        limit: int | None,
    ) -> None:
        self.metric, self.longest = metric, longest
        super().__init__(margin, (margin + 1) / 2, float(longest), alpha, direction, population, limit)

    def extend(self, policy: RatioCounts, reference: RatioCounts) -> None:
        """Add n units; every array is `[n]`.

        Raises:
            InputError: there are no units, the two judged different cases, or as `RatioTest.extend`.
        """
        check_counts(self.metric, policy, self.longest)
        if not np.array_equal(policy.informative, reference.informative):
            raise InputError(f"the policy and its reference saw different cases of {self.metric}: set by: estimate")
        # (h₁ − h₂ + n) / 2 is in [0, n]
        self._add((policy.hits - reference.hits + policy.informative) / 2, policy.informative.astype(np.float64))

    def _metric(self, count: int) -> float | None:
        informative = self._informative[:count].sum()
        return self._value(float(self._hits[:count].sum() / informative)) if informative else None

    def _defined(self, start: int, stop: int) -> np.ndarray:
        return np.cumsum(self._informative[:stop])[start:] > 0

    def _value(self, share: float) -> float:
        return 2 * share - 1


class JointTest(SequentialTest):
    """Precision or F1 minus the reference's; see the module."""

    _history_points = 8
    _looks_rarely = False  # only at the end of each chunk of units

    def __init__(
        self,
        metric: str,
        margin: float,
        alpha: float,
        direction: Direction,
        population: int | None,
        longest: int,
        limit: int | None,
    ) -> None:
        super().__init__(margin, alpha, direction, population, limit)
        self.metric, self.longest = metric, longest
        self._counts = _BothCounts(*(RatioCounts(*(np.zeros(0) for _ in range(3))) for _ in range(2)))
        self._scale = longest * (2 if metric == "f1" else 1)
        self._above = JointBet.start(margin)
        self._below = JointBet.start(-margin)

    def extend(self, policy: RatioCounts, reference: RatioCounts) -> None:
        """Add n units; every array is `[n]`.

        Raises:
            InputError: as `RatioTest.extend`.
        """
        for counts in (policy, reference):
            check_counts(self.metric, counts, self.longest)
        self._counts = _BothCounts(
            *(
                RatioCounts(*(np.concatenate(pair) for pair in zip(old, new, strict=True)))
                for old, new in zip(self._counts, (policy, reference), strict=True)
            )
        )
        self._advance(len(policy.hits))

    def _terms(self, stop: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """`[n, 2]` a and b of the policy, and of the reference, in [0, 1]."""
        terms = []
        for counts in self._counts:
            hits, informative = counts.hits[start:stop], counts.informative[start:stop]
            pair = (2 * hits, hits + informative) if self.metric == "f1" else (hits, informative)
            terms.append(np.column_stack(pair) / self._scale)
        return terms[0], terms[1]

    def _bet(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        first, second = self._terms(stop, start)
        if self._looks_rarely:
            return self._above.advance_to(first, second, self.alpha), self._below.advance_to(second, first, self.alpha)
        units = np.arange(start, stop)
        above = self._above.advance(first, second, units, self.population, self.alpha)
        below = self._below.advance(second, first, units, self.population, self.alpha)
        return above, below

    def _metric(self, count: int) -> float | None:
        values = [ratio_value(self.metric, *(column[:count].sum() for column in counts)) for counts in self._counts]
        return None if None in values else values[0] - values[1]  # type: ignore[operator]

    def _defined(self, start: int, stop: int) -> np.ndarray:
        both = [np.cumsum(counts.required[:stop])[start:] > 0 for counts in self._counts]
        return both[0] & both[1]

    def _interval(self, count: int) -> tuple[float, float]:
        estimate = self._metric(count)
        if estimate is None:
            return -1.0, 1.0
        first, second = self._terms(count)
        lower = self._lowest(first, second, estimate)
        upper = -self._lowest(second, first, -estimate)
        return min(lower, estimate), max(upper, estimate)

    def _lowest(self, first: np.ndarray, second: np.ndarray, estimate: float) -> float:
        """The smallest difference first − second that all units together do not refute as too low."""
        bar = float(np.log(1 / self.alpha))
        low, high = -1.0, estimate
        for _ in range(_BISECTIONS):
            margin = (low + high) / 2
            # on a set every unit has bets of its own, so the interval makes do with fewer
            bet = JointBet.start(margin) if self.population is None else JointBet.start(margin, 16, _RATIOS[2:3])
            if bet.final(first, second, self.population) < bar:
                high = margin
            else:
                low = margin
        return low

    def _more_units(self) -> int | None:
        first, second = self._terms(self.units)
        estimate = self._metric(self.units)
        if estimate is None:
            return None
        # influence of each unit on the difference of the two ratios
        influence = np.zeros(self.units)
        for sign, (a, b) in ((1, first.T), (-1, second.T)):
            influence += sign * (a - a.sum() / b.sum() * b) / b.mean()
        gap = estimate - self.theta
        return units_needed(gap, float((influence * influence).mean()) + gap * gap, self.units, self.alpha)


@dataclass
class JointBet:
    """The capital against "the first ratio is at most the second plus a margin", in cells of θ.

    Attributes:
        ratios: λ₂ / λ₁ of the pairs.
        low, high: `[C]` the ends of the cells that are not yet refuted.
        logs: `[2, C, P]` log K of each pair at both ends.
        sums: `[2, 2]` Σ a and Σ b of both policies so far.
        log_capital: the smallest over the cells that are left.
    """

    margin: float
    ratios: np.ndarray
    low: np.ndarray
    high: np.ndarray
    logs: np.ndarray
    sums: np.ndarray
    log_capital: float = 0.0

    @classmethod
    def start(cls, margin: float, cells: int = _CELLS, ratios: np.ndarray = _RATIOS) -> JointBet:
        """Before the first unit."""
        first, last = max(0.0, margin), min(1.0, 1.0 + margin)
        arcs = np.linspace(np.arcsin(np.sqrt(first)), np.arcsin(np.sqrt(last)), cells + 1)
        edges = np.sin(arcs) ** 2
        edges[0], edges[-1] = first, last
        logs = np.zeros((2, cells, _STAKES.size * ratios.size))
        return cls(margin, ratios, edges[:-1], edges[1:], logs, np.zeros((2, 2)))

    @property
    def active(self) -> bool:
        """Whether some θ is not refuted."""
        return bool(len(self.low))

    def advance(
        self, first: np.ndarray, second: np.ndarray, units: np.ndarray, population: int | None, alpha: float
    ) -> np.ndarray:
        """Bet on n further units.

        Args:
            first, second: `[n, 2]` a and b of each unit, 0 ≤ a ≤ b ≤ 1.
            units: `[n]` how many units came before each.

        Returns:
            `[n]` the smallest log K after each of them; at least log 1/α once every θ is refuted.
        """
        reached = np.empty(len(first))
        for begin in range(0, len(first), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            reached[part] = self._advance_chunk(first[part], second[part], units[part], population, alpha)
        return reached

    def advance_to(self, first: np.ndarray, second: np.ndarray, alpha: float) -> np.ndarray:
        """Bet on n further units of a source, and look once, after the last of them; arguments as of `advance`.

        Fewer looks are as valid. This takes as long for n units as for the distinct ones among them.

        Returns:
            `[n]` the smallest log K: before the units, and for the last of them after all.
        """
        reached = np.full(len(first), self.log_capital)
        rows, inverse = _distinct(first, second)
        self.advance_counts(rows[:, :2], rows[:, 2:], np.bincount(inverse), alpha)
        reached[-1] = self.log_capital
        return reached

    def advance_counts(self, first: np.ndarray, second: np.ndarray, counts: np.ndarray, alpha: float) -> None:
        """Bet on further units of a source, `[n]` of each kind, and look once after all; as `advance_to`."""
        if not self.active:
            return
        growth = self._growth(first, second, np.zeros(len(first)), None)  # [2, n, C, P]
        self.logs = self.logs + np.einsum("n,enck->eck", np.asarray(counts, np.float64), growth)
        self.sums = self.sums + np.stack([counts @ first, counts @ second])
        capital, bar = log_mean_exp(self.logs.min(axis=0)), float(np.log(1 / alpha))  # [C]
        remaining = capital < bar
        self.log_capital = float(capital[remaining].min() if remaining.any() else capital.min())
        self.low, self.high, self.logs = self.low[remaining], self.high[remaining], self.logs[:, remaining]

    def final(self, first: np.ndarray, second: np.ndarray, population: int | None) -> float:
        """The smallest log K after all units at once, independent of what it was before; arguments as of `advance`."""
        if population is None:
            rows, inverse = _distinct(first, second)
            growth = self._growth(rows[:, :2], rows[:, 2:], np.zeros(len(rows)), None)
            logs = np.einsum("n,enck->eck", np.bincount(inverse), growth)
        else:
            logs = self.logs
            for begin in range(0, len(first), _CHUNK):
                part = slice(begin, begin + _CHUNK)
                units = begin + np.arange(len(first[part]))
                logs = logs + self._growth(first[part], second[part], units, population).sum(axis=1)
                self.sums = self.sums + np.stack([first[part].sum(axis=0), second[part].sum(axis=0)])
        return float(np.min(log_mean_exp(logs.min(axis=0))))

    def _advance_chunk(
        self, first: np.ndarray, second: np.ndarray, units: np.ndarray, population: int | None, alpha: float
    ) -> np.ndarray:
        bar = float(np.log(1 / alpha))
        if not self.active:
            return np.full(len(first), max(self.log_capital, bar))
        if population is None:  # few distinct units, such as a hit of both
            rows, inverse = _distinct(first, second)
            growth = self._growth(rows[:, :2], rows[:, 2:], units[: len(rows)], None)[:, inverse]
        else:
            growth = self._growth(first, second, units, population)  # [2, n, C, P]
        logs = self.logs[:, None] + np.cumsum(growth, axis=1)
        capital = log_mean_exp(logs.min(axis=0))  # [n, C]
        best = np.maximum.accumulate(capital, axis=0)
        self.sums = self.sums + np.stack([first.sum(axis=0), second.sum(axis=0)])
        remaining = best[-1] < bar
        # a cell that is refuted stays so; the smallest of the cells that are left
        smallest = np.where(best < bar, capital, np.inf).min(axis=1)
        smallest = np.where(np.isinf(smallest), best.min(axis=1), smallest)
        self.low, self.high, self.logs = self.low[remaining], self.high[remaining], logs[:, -1][:, remaining]
        self.log_capital = float(smallest[-1])
        return smallest

    def _growth(self, first: np.ndarray, second: np.ndarray, units: np.ndarray, population: int | None) -> np.ndarray:
        """`[2, n, C, P]` log(1 + λ₁ z₁ + λ₂ z₂) at both ends of each cell."""
        if population is None:
            z = [self._z(first, second, end) for end in (self.low, self.high)]
            worst_first, worst_second = self.high[None], 1 - (self.low - self.margin)[None]
        else:
            z, means = [], []
            for end in (self.low, self.high):
                z1, z2 = self._z(first, second, end)
                shifts = [
                    remaining_mean(sum_before(term, start), units[:, None], population)
                    for term, start in ((z1, self._start(0, end)), (z2, self._start(1, end)))
                ]
                z.append((z1 - shifts[0], z2 - shifts[1]))
                # what a unit can cost: z₁ ≥ −θ and z₂ ≥ −(1 − (θ − margin)), less what is left of either on average
                means.append((end + shifts[0], 1 - (end - self.margin) + shifts[1]))
            worst_first = np.maximum(means[0][0], means[1][0])
            worst_second = np.maximum(means[0][1], means[1][1])
        worst = np.maximum(worst_first, 1e-12)[..., None] + self.ratios * np.maximum(worst_second, 1e-12)[..., None]
        bets1 = (_STAKES[:, None] / worst[..., None, :]).reshape(*worst.shape[:-1], -1)  # [n or 1, C, P]
        bets2 = bets1 * np.tile(self.ratios, _STAKES.size)
        return np.stack([np.log1p(bets1 * z1[..., None] + bets2 * z2[..., None]) for z1, z2 in z])

    def _z(self, first: np.ndarray, second: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`[n, C]` z₁ and z₂ at one θ per cell."""
        return (
            first[:, :1] - theta * first[:, 1:],
            (theta - self.margin) * second[:, 1:] - second[:, :1],
        )

    def _start(self, term: int, theta: np.ndarray) -> np.ndarray:
        """`[C]` the sum of z₁ or z₂ over the earlier units."""
        a, b = self.sums[term]
        return a - theta * b if term == 0 else (theta - self.margin) * b - a


def _distinct(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct units `[U, 4]`, and which of them each unit is."""
    rows, inverse = np.unique(np.column_stack([first, second]), axis=0, return_inverse=True)
    return rows, inverse.ravel()
