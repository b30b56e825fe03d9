"""A value loss that looks small only because its targets are scaled to variance 1."""

from __future__ import annotations

from rl_eval.diagnostics._ceiling import LATE
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

NEAR_ONE = 0.1


@diagnostic
def normalised_value_loss(run: DiagnosedRun) -> Finding | None:
    """A value loss of about 1 with normalised returns: it looks good, and means that nothing is explained.

    Reads `agent.normalize_return` and `value_loss` over the last quarter of the rows. With targets of mean 0 and
    variance 1, a critic that always predicts 0 has a loss of exactly 1.
    """
    late = run.late("value_loss", LATE)
    if run.setting("agent.normalize_return") is not True or len(late) < 2 or abs(late.mean() - 1.0) > NEAR_ONE:
        return None
    return Finding(
        name="normalised_value_loss",
        severity="warning",
        layer="critic",
        title="normalisation hides that the critic explains nothing",
        evidence=f"the value loss is {late.mean():.3f} with agent.normalize_return=true",
        meaning="The targets are scaled to variance 1, so a critic that always predicts the mean has a loss of 1. Look "
        "at explained_variance instead. A larger value coefficient does not help.",
        source="targets of mean 0 and variance 1: E[(0 − R)²] = 1",
        certainty=0.65,
        data={"value_loss": float(late.mean())},
    )
