"""A critic that might as well be a constant."""

from __future__ import annotations

from rl_eval.diagnostics._ceiling import LATE, steps_are_independent
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

NOTHING = 0.05
LARGE = 100.0  # a value loss whose gradient drowns the policy's, whose loss is about 1


@diagnostic
def critic_explains_nothing(run: DiagnosedRun) -> Finding | None:
    """Explained variance of at most .05 late in training, though the steps are not independent.

    Reads `explained_variance` = 1 − var(R − V) / var R over the last quarter of the rows, `value_loss`, and
    `agent.vf_coef`. At 0 the critic is no better than the mean of the targets (Andrychowicz et al., ICLR 2021, log
    it for that). With independent steps it may have no choice: that is `critic_ceiling`.
    """
    late = run.late("explained_variance", LATE)
    if len(late) < 2 or late.mean() > NOTHING or steps_are_independent(run):
        return None
    loss = run.late("value_loss", LATE)
    weight = run.number("agent.vf_coef")
    evidence = f"explained variance {late.mean():.3g} over the last quarter of training"
    change, certainty = None, 0.6
    if weight is not None and weight < 0.01:
        evidence += f", with agent.vf_coef={weight:g}"
        meaning = "The value loss has no weight, so the critic stays as it was made."
        change, certainty = "agent.vf_coef=0.5", 0.95
    elif len(loss) and loss.mean() > LARGE and not run.setting("agent.normalize_reward"):
        evidence += f", and a value loss of {loss.mean():.3g}"
        meaning = (
            "Targets this large are out of the critic's reach for long: its gradient is clipped at every step. "
            "Scale the reward."
        )
        change, certainty = "agent.normalize_reward=true", 0.8
    else:
        meaning = (
            "Advantages are no better than with no critic at all. Likely causes: a learning rate far off, targets "
            "that move faster than the critic follows, or observations that do not say what the return depends on."
        )
    return Finding(
        name="critic_explains_nothing",
        severity="warning",
        layer="critic",
        title="the critic explains nothing",
        evidence=evidence,
        meaning=meaning,
        change=change,
        source="explained variance 1 − var(R − V) / var R ≤ .05",
        certainty=certainty,
        data={"explained_variance": float(late.mean()), "value_loss": float(loss.mean()) if len(loss) else None},
    )
