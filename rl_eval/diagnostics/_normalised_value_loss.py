"""A value loss that looks small because its targets were scaled to variance 1."""

from __future__ import annotations

from rl_eval.diagnostics._ceiling import LATE
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

NEAR_ONE = 0.1


@diagnostic
def normalised_value_loss(run: DiagnosedRun) -> Finding | None:
    """A value loss of about 1 under return normalisation: it reads well, and says that nothing is explained.

    Reads `agent.normalize_return` and `value_loss` over the last quarter of the rows. Targets of mean 0 and variance
    1 give a critic that always says 0 a loss of exactly 1.
    """
    late = run.late("value_loss", LATE)
    if run.setting("agent.normalize_return") is not True or len(late) < 2 or abs(late.mean() - 1.0) > NEAR_ONE:
        return None
    return Finding(
        name="normalised_value_loss",
        severity="warning",
        layer="critic",
        title="normalisation hides a critic that explains nothing",
        evidence=f"the value loss is {late.mean():.3f} with agent.normalize_return=true",
        meaning="The targets are scaled to variance 1, so a loss of 1 is that of a critic which always answers with "
        "the mean. Look at explained_variance instead; a larger value coefficient does not help.",
        source="targets of mean 0 and variance 1: E[(0 − R)²] = 1",
        certainty=0.65,
        data={"value_loss": float(late.mean())},
    )
