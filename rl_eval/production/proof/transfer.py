"""Does a candidate forget, and does what it learned help with what comes? Transfer between periods.

Lopez-Paz and Ranzato, *Gradient episodic memory for continual learning*, NeurIPS 2017 (arXiv 1706.08840), eq. 2 to 4.
R[i, j] is the score on the held-out set of period j after learning periods 0 to i, b[j] that of the untrained policy:

    ACC = mean over j of R[T − 1, j]
    BWT = mean over j < T − 1 of R[T − 1, j] − R[j, j]       below 0: it forgets
    FWT = mean over j > 0 of R[j − 1, j] − b[j]              above 0: earlier periods help with later ones
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.errors import InputError
from rl_eval.evidence import PairedTest
from rl_eval.production.learning_config import ProofConfig
from rl_eval.production.proof.finding import Decision, Finding


@dataclass(frozen=True)
class Transfer:
    """Averages over periods; None where there are too few of them."""

    accuracy: float
    backward: float | None
    forward: float | None


def transfer(scores: np.ndarray, first: np.ndarray | None = None) -> Transfer:
    """ACC, BWT and FWT of scores `[T, T]`; `first` `[T]` is of the untrained policy, and FWT is None without it."""
    scores = _checked(scores)
    several = len(scores) > 1
    return Transfer(
        float(scores[-1].mean()),
        backward_transfer(scores) if several else None,
        forward_transfer(scores, first) if several and first is not None else None,
    )


def backward_transfer(scores: np.ndarray) -> float:
    """BWT of scores `[T, T]`, T ≥ 2.

    Raises:
        InputError: they have another shape, or are not finite.
    """
    scores = _checked(scores, least=2)
    return float((scores[-1] - np.diag(scores))[:-1].mean())


def forward_transfer(scores: np.ndarray, first: np.ndarray) -> float:
    """FWT of scores `[T, T]` and those of the untrained policy `[T]`, T ≥ 2.

    Raises:
        InputError: they have other shapes, or are not finite.
    """
    scores, first = _checked(scores, least=2), np.asarray(first, np.float64)
    if first.shape != scores[0].shape or not np.isfinite(first).all():
        raise InputError(f"scores of the untrained policy have the shape {first.shape}: give {len(scores)} numbers")
    return float((np.diag(scores, 1) - first[1:]).mean())


def _checked(scores: np.ndarray, least: int = 1) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < least:
        raise InputError(f"scores have the shape {scores.shape}: give [T, T] with at least {least} periods")
    if not np.isfinite(scores).all():
        raise InputError("a score is not finite: play every policy on every period")
    return scores


def judge(scores: np.ndarray, first: np.ndarray | None, config: ProofConfig) -> list[Finding]:
    """Whether BWT and FWT reach their bars; there is nothing to say before the second period."""
    estimate = transfer(scores, first)
    findings = []
    if estimate.backward is not None:
        decision: Decision = "PASS" if estimate.backward >= config.forgetting else "FAIL"
        reason = f"BWT {estimate.backward:+.3f} over {len(scores)} periods, and {config.forgetting:g} is asked for"
        findings.append(Finding("forgetting", decision, reason))
    if estimate.forward is not None and config.transfer is not None:
        decision = "PASS" if estimate.forward >= config.transfer else "FAIL"
        reason = f"FWT {estimate.forward:+.3f} over {len(scores)} periods, and {config.transfer:g} is asked for"
        findings.append(Finding("transfer", decision, reason))
    return findings


def judge_held_out(candidate: np.ndarray, champion: np.ndarray, config: ProofConfig) -> Finding:
    """Whether the candidate is as good as the champion on the held-out cases of earlier periods.

    Args:
        candidate, champion: `[N]` values in [0, 1] of the same cases in random order, such as whether a decision was
            right.

    Raises:
        InputError: lengths differ, or there are none.
    """
    candidate, champion = np.asarray(candidate, np.float64), np.asarray(champion, np.float64)
    test = PairedTest(config.forgetting, 0.0, 1.0, (1 - config.confidence) / 2, "at_least", limit=len(candidate))
    test.extend(candidate, champion)
    result = test.result
    low, high = result.interval
    reason = (
        f"{result.estimate or 0.0:+.3f} ({low:+.3f} to {high:+.3f}) against the champion on {len(candidate):,} "
        f"held-out cases of earlier periods, and {config.forgetting:g} is allowed"
    )
    return Finding("held_out", result.decision, reason)
