"""A greedy policy with one answer for everything, though the cases differ."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.formatting import percent

ONE_ANSWER = 0.95


@diagnostic
def policy_collapse(run: DiagnosedRun) -> Finding | None:
    """The greedy policy takes one action for more than 95 % of the cases, while their labels differ.

    Reads the judged policy at play on the validation part, `label` and `action` of each case. With the run's reward it
    also says from which probability of label 1 on another action than that one pays, τ, against its share:
    below τ the one action is right as long as nothing tells the cases apart.
    """
    if run.played is None:
        return None
    outcome = run.played.episodes.outcome
    if not {"label", "action"} <= outcome.keys() or outcome["action"].ndim != 1 or not len(outcome["action"]):
        return None
    label, action = outcome["label"].astype(np.int64), outcome["action"].astype(np.int64)
    counts = np.bincount(action)
    share, modal = counts.max() / len(action), int(counts.argmax())
    prevalence = float((label != 0).mean())
    rarer = min(prevalence, 1.0 - prevalence)
    # What differs must be more than what the few other answers could be for.
    if share <= ONE_ANSWER or rarer <= 2 * (1.0 - share):
        return None
    tau = break_even(run, modal)
    evidence = (
        f"action {modal} in {percent(share)} of {len(action):,} cases, {percent(prevalence)} of which are positive"
    )
    meaning = "The policy does not tell the cases apart: its figures are those of a constant."
    if tau is not None:
        evidence += f"; another action pays from a probability of {tau:.2f} on"
        if tau > 0.9:
            meaning += " The reward matrix asks for it: hardly any case is certain enough for another action to pay."
        elif prevalence < tau:
            meaning += " Knowing only how rare positive cases are, that is the best it can do; it has not learned more."
    return Finding(
        name="policy_collapse",
        severity="problem",
        layer="reward" if tau is not None and tau > 0.9 else "policy",
        title="the greedy policy gives one answer for everything",
        evidence=evidence,
        meaning=meaning,
        change=f"reward={run.setting('env.name')}" if tau is not None and tau > 0.9 else None,
        source="modal greedy action > .95 of the cases; τ: the smallest P at which another action has the larger E[r]",
        certainty=0.8,
        data={"share": float(share), "action": modal, "prevalence": prevalence, "break_even": tau},
    )


def break_even(run: DiagnosedRun, action: int) -> float | None:
    """The smallest P(label = 1) at which another action's expected reward is above that of `action`; 1 where none is.

    None where the reward is not a function of label and action alone.
    """
    from rl_eval.errors import InputError
    from rl_eval.rewards import RewardFunction

    assert run.played is not None
    outcome = run.played.episodes.outcome
    actions = len(getattr(run.played.policy, "probabilities", lambda _: [[]])(run.played.observations[:1])[0])
    if actions < 2:
        return None
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        cases = {name: values[: 2 * actions] for name, values in outcome.items()}
        if len(cases["label"]) < 2 * actions:
            return None
        cases["label"] = np.repeat([0, 1], actions).astype(outcome["label"].dtype)
        cases["action"] = np.tile(np.arange(actions), 2).astype(outcome["action"].dtype)
        negative, positive = reward(cases)[0].reshape(2, actions).astype(np.float64)
    except (InputError, TypeError, ValueError, KeyError, IndexError):
        return None
    probability = np.linspace(0.0, 1.0, 1001)[:, None]
    expected = (1.0 - probability) * negative + probability * positive
    better = (np.delete(expected, action, axis=1) > expected[:, [action]] + 1e-9).any(axis=1)
    return float(probability[better.argmax(), 0]) if better.any() else 1.0
