"""A policy faces criteria: all of them on the same episodes, until each is decided."""

from __future__ import annotations

from collections.abc import Sequence

from rl_eval.evidence import RATIO_METRICS
from rl_eval.gates.arena import Arena
from rl_eval.gates.by_estimate import Estimate
from rl_eval.gates.by_evidence import MeanEvidence, RatioEvidence
from rl_eval.gates.schema import Criterion
from rl_eval.gates.trial import Trial


def trial_of(arena: Arena, criterion: Criterion, *, clipped: bool = False) -> Trial:
    """The trial that a criterion asks for.

    Args:
        clipped: cut values off at both bounds without a word, as for a policy that is meant to be useless.
    """
    if criterion.spec.by == "estimate":
        return Estimate(arena, criterion)
    kind = RatioEvidence if criterion.metric.name in RATIO_METRICS else MeanEvidence
    return kind(arena, criterion, clipped)


def face(arena: Arena, spec: str, label: str, trials: Sequence[Trial], *, until_one_fails: bool = False) -> None:
    """Play until every trial has its verdict.

    Args:
        spec: names the policy; `label` is shown while it plays.
        until_one_fails: stop there, which leaves the others without a verdict.

    Raises:
        InputError: the policy cannot be loaded, does not fit, or does what it may not.
    """
    if not trials:
        return
    tape = arena.tape(spec, label, max(trial.episodes for trial in trials))
    try:
        while any(trial.verdict is None for trial in trials):
            if until_one_fails and any(_failed(trial) for trial in trials):
                return
            if not tape.play_on():
                break
            for trial in trials:
                trial.take(tape)
        for trial in trials:
            trial.conclude()
    finally:
        tape.close()


def _failed(trial: Trial) -> bool:
    return trial.verdict is not None and trial.verdict.decision != "PASS"
