"""Reward terms of threat triage, by class of the flow and action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rl_eval.errors import InputError
from rl_eval.rewards import Outcome, RewardTerm

ALLOW, ALERT = 0, 3
CLASSES, ACTIONS = 2, 4
Matrix2D = Sequence[Sequence[float]] | np.ndarray  # [class, action]
SAME_PRICE = 1e-6  # of the largest cost; a reward is float32


class Matrix(RewardTerm):
    """A reward for each class (benign, threat) and action (allow, block, quarantine, alert).

    Args:
        values: two rows of four.
        rho: scales the benign row, which is the majority; the ratio of minority to majority gives both classes
            equal weight, as in DQNimb (Lin et al., arXiv 1901.01379, eq. 3).
    """

    def __init__(self, values: Matrix2D, rho: float = 1.0):
        matrix = np.array(values, np.float32)
        if matrix.shape != (CLASSES, ACTIONS) or not np.isfinite(matrix).all():
            raise ValueError(
                "values must be two rows (benign, threat) of four numbers (allow, block, quarantine, alert)"
            )
        if not 0.0 < rho <= 1.0:
            raise ValueError(f"rho={rho} must be in (0, 1]")
        matrix[0] *= rho
        self.values = matrix
        self.range = float(matrix.min()), float(matrix.max())
        self._flat = matrix.ravel()

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` the entry of each flow's class and action."""
        return self._flat.take(ACTIONS * outcome["label"].astype(np.int8) + outcome["action"])


class Costs(Matrix):
    """Minus what a decision costs, as a share of the largest cost, so that prices in any currency train alike.

    Args:
        values: the costs, two rows of four; `${env.costs}` in a config makes them the environment's own.
    """

    def __init__(self, values: Matrix2D):
        super().__init__(values)
        largest = float(np.abs(self.values).max())
        if not largest > 0.0:
            raise ValueError("all costs are 0, so no decision is better than another: give env.costs")
        super().__init__(-np.asarray(values, np.float64) / largest)


class AlertBudget(RewardTerm):
    """A penalty for each alert above what an analyst handles in a window.

    The window is `alert_window` of the environment, so that the agent observes the count that is charged.

    Args:
        k: alerts handled per window.
        penalty: charged for each further alert, a positive number.
    """

    def __init__(self, k: int, penalty: float):
        if k < 0 or penalty < 0:
            raise ValueError(f"k={k} and penalty={penalty} must not be negative")
        self.k, self.penalty = k, penalty
        self.range = -float(penalty), 0.0

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` minus the penalty where this flow's alert is one too many, else 0."""
        if "alerts_in_window" not in outcome:
            raise InputError("AlertBudget needs env.alert_window > 0: the number of flows that the budget covers")
        over_budget = (outcome["action"] == ALERT) & (outcome["alerts_in_window"] > self.k)
        return np.where(over_budget, np.float32(-self.penalty), np.float32(0.0))


class Severity(RewardTerm):
    """A penalty for allowing a threat, by its category.

    Args:
        weights: category name -> penalty, a positive number.
        categories: the names that `outcome["category"]` indexes; see `FlowDataset.category_names`.
        default: the penalty of other threats.
    """

    def __init__(self, weights: Mapping[str, float], categories: Sequence[str], default: float = 0.0):
        unknown = sorted(set(weights) - set(categories))
        if unknown:
            raise ValueError(f"weights names {unknown[0]!r}; the categories are {', '.join(categories)}")
        self._penalty = np.array([weights.get(name, default) for name in categories], np.float32)
        self.range = min(-float(self._penalty.max(initial=0.0)), 0.0), max(-float(self._penalty.min(initial=0.0)), 0.0)

    def __call__(self, outcome: Outcome) -> np.ndarray:
        """`[N]` minus the weight where a threat was allowed, else 0."""
        missed = (outcome["label"] == 1) & (outcome["action"] == ALLOW)
        return np.where(missed, -self._penalty.take(outcome["category"]), np.float32(0.0))


def price_difference(terms: Mapping[str, tuple[float, RewardTerm]], costs: Matrix2D) -> str | None:
    """How a reward prices decisions otherwise than `env.costs`, as a sentence; None where both make the same ones best.

    Args:
        terms: name -> weight and term; those that are not a `Matrix` are left out.
        costs: `[2, A]`.
    """
    matrices = {name: weight * term.values.astype(np.float64) for name, (weight, term) in terms.items()
                if isinstance(term, Matrix)}  # fmt: skip
    if not matrices:
        return None
    reward, cost = np.sum(list(matrices.values()), axis=0), np.asarray(costs, np.float64)
    threat = np.linspace(0.0, 1.0, 1001)[:, None]
    expected_cost = (1.0 - threat) * cost[0] + threat * cost[1]
    best = ((1.0 - threat) * reward[0] + threat * reward[1]).argmax(axis=1)
    lost = expected_cost[np.arange(len(best)), best] - expected_cost.min(axis=1)
    if lost.max() <= SAME_PRICE * np.abs(cost).max():
        return None
    names = " and ".join(f"reward.terms.{name}" for name in matrices)
    return (
        f"{names} and env.costs price decisions differently (flagging pays from P(threat) = "
        f"{break_even(reward):.2g} by the reward, and from {break_even(-cost):.2g} by the costs): "
        "reward=threat_costs makes the reward from env.costs"
    )


def break_even(matrix: Matrix2D) -> float:
    """The smallest P(threat) above which some flagging action is worth more than allowing; 1 if none is.

    With r(a) = (1-p)·m[0,a] + p·m[1,a], action a beats allow from
    p = (m[0,0]-m[0,a]) / ((m[0,0]-m[0,a]) + (m[1,a]-m[1,0])) on, where it beats it on threats at all.
    """
    benign, threat = np.asarray(matrix, np.float64)
    lost, won = benign[ALLOW] - benign[1:], threat[1:] - threat[ALLOW]
    if (lost < 0).any():
        return 0.0
    useful = won > 0
    return float((lost[useful] / (lost[useful] + won[useful])).min()) if useful.any() else 1.0
