"""Do decisions stay the same when observations change a little? The worst of random and of gradient-based changes.

A decision is turned where any change that was tried, each number by at most ε, leads to another action. The changes are
those of `rl_eval.policy.random_changes` and `gradient_changes`, against the lead of the best action over the second.
The share of turned decisions is a lower bound of what an adversary reaches: another attack may find more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rl_eval import seeding
from rl_eval.errors import InputError
from rl_eval.evidence import PairedTest
from rl_eval.policy import Gradients, gradient_changes, random_changes
from rl_eval.production.learning_config import ProofConfig
from rl_eval.production.proof.finding import Finding

Act = Callable[[np.ndarray], np.ndarray]  # observations [N, D] to greedy actions [N]


@dataclass(frozen=True)
class Robustness:
    """Shares of decisions that changes of at most ε turn.

    Attributes:
        random, gradient, worst: by either kind, and by any; `gradient` is None for a policy without gradients.
        low, high: of `worst`, by Clopper and Pearson.
        champion: the champion's worst.
        difference: candidate minus champion, on the same observations, with its interval.
    """

    epsilon: float
    rows: int
    random: float
    gradient: float | None
    worst: float
    low: float
    high: float
    champion: float
    difference: tuple[float, float, float]


def compare(
    candidate: tuple[Act, Gradients | None],
    champion: tuple[Act, Gradients | None],
    observations: np.ndarray,
    config: ProofConfig,
    seed: int = 0,
) -> tuple[Robustness, Finding]:
    """Both policies under changes of the same size.

    Args:
        observations: `[N, D]`, independent ones; at most `config.rows` of them are changed.
        seed: of the random changes, the same for both.

    Raises:
        InputError: there are fewer than two observations, or `config.epsilon` is None.
    """
    if config.epsilon is None:
        raise InputError("proof.epsilon is not set: say by how much an observation may change")
    observations = np.asarray(observations, np.float32).reshape(len(observations), -1)[: config.rows]
    if len(observations) < 2:
        raise InputError("robustness needs at least two observations: log more")
    by_chance, by_gradient = turned_decisions(
        *candidate, observations, config.epsilon, config.draws, config.steps, seed
    )
    own = by_chance if by_gradient is None else by_chance | by_gradient
    theirs_by_chance, theirs_by_gradient = turned_decisions(
        *champion, observations, config.epsilon, config.draws, config.steps, seed
    )
    theirs = theirs_by_chance if theirs_by_gradient is None else theirs_by_chance | theirs_by_gradient
    alpha = (1 - config.confidence) / 2
    # Of decisions that stand: the candidate's share may be below the champion's by at most `flips`.
    test = PairedTest(-config.flips, 0.0, 1.0, alpha, "at_least", limit=len(own))
    test.extend((~own).astype(float), (~theirs).astype(float))
    result = test.result
    low, high = _interval(int(own.sum()), len(own), config.confidence)
    effect = Robustness(
        config.epsilon,
        len(own),
        float(by_chance.mean()),
        None if by_gradient is None else float(by_gradient.mean()),
        float(own.mean()),
        low,
        high,
        float(theirs.mean()),
        (float(own.mean() - theirs.mean()), -result.interval[1], -result.interval[0]),
    )
    return effect, Finding("robustness", result.decision, _sentence(effect, config))


def turned_decisions(
    act: Act,
    gradients: Gradients | None,
    observations: np.ndarray,
    epsilon: float,
    draws: int,
    steps: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Which decisions random, and which gradient-based changes turn: bool `[N]` twice, the second None without them."""
    before, rng = act(observations), seeding.generator(seed, "replay")
    by_chance = np.zeros(len(observations), bool)
    for changed in random_changes(observations, epsilon, draws, rng):
        by_chance |= act(changed) != before
    if gradients is None:
        return by_chance, None
    by_gradient = np.zeros(len(observations), bool)
    for changed in gradient_changes(observations, epsilon, steps, gradients):
        by_gradient |= act(changed) != before
    return by_chance, by_gradient


def _interval(hits: int, count: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import beta

    tail = (1 - confidence) / 2
    low = 0.0 if not hits else float(beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


def _sentence(effect: Robustness, config: ProofConfig) -> str:
    value, low, high = effect.difference
    return (
        f"changes of at most {effect.epsilon:g} turn {effect.worst:.1%} of {effect.rows:,} decisions ({effect.low:.1%} "
        f"to {effect.high:.1%}) and {effect.champion:.1%} of the champion's: {value:+.1%} ({low:+.1%} to {high:+.1%}), "
        f"and at most {config.flips:+.1%} is allowed"
    )
