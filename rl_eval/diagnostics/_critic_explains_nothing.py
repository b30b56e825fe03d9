"""A critic that is no better than a constant."""

from __future__ import annotations

from rl_eval.diagnostics._ceiling import LATE, steps_are_independent
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

NOTHING = 0.05
LARGE = 100.0  # value loss; its gradient dominates that of the policy, whose loss is about 1


@diagnostic
def critic_explains_nothing(run: DiagnosedRun) -> Finding | None:
    """Explained variance of at most .05 late in training, although the steps are not independent.

    Reads `explained_variance` = 1 − var(R − V) / var R over the last quarter of the rows, `value_loss`, and
    `agent.vf_coef`. At 0 the critic is no better than the mean of the targets (Andrychowicz et al., ICLR 2021). With
    independent steps a critic may be unable to do better: see `critic_ceiling`. Try `agent.vf_coef=0.5` if the value
    loss has no weight, and `agent.normalize_reward=true` if the loss is above 100.
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
        meaning = "The value loss has no weight, so the critic does not learn."
        change, certainty = "agent.vf_coef=0.5", 0.95
    elif len(loss) and loss.mean() > LARGE and not run.setting("agent.normalize_reward"):
        evidence += f", and a value loss of {loss.mean():.3g}"
        meaning = (
            "The critic needs very long to reach such large targets, since its gradient is clipped at every step. "
            "Scale the reward."
        )
        change, certainty = "agent.normalize_reward=true", 0.8
    else:
        meaning = (
            "Advantages are no better than without a critic. Likely causes: a wrong learning rate, targets that change "
            "faster than the critic follows, or observations that lack what the return depends on."
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
