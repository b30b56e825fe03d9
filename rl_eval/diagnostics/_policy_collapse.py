"""A greedy policy with one action for everything, although the cases differ."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.errors import InputError
from rl_eval.formatting import percent
from rl_eval.rewards import RewardFunction

ONE_ACTION = 0.95


@diagnostic
def policy_collapse(run: DiagnosedRun) -> Finding | None:
    """The greedy policy takes one action for more than 95 % of the cases, while their labels differ.

    Reads the judged policy at play on the validation part: `label` and `action` of each case. With the reward of the
    run it also gives τ, the probability of label 1 from which another action has a higher reward. If label 1 is rarer
    than τ, the one action is right as long as the cases cannot be distinguished.
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
    # The rarer label must be more frequent than the other actions could explain.
    if share <= ONE_ACTION or rarer <= 2 * (1.0 - share):
        return None
    tau = break_even(run, modal)
    evidence = f"action {modal} in {percent(share)} of {len(action):,} cases, and {percent(prevalence)} are positive"
    meaning = "The policy does not distinguish the cases: its results are those of a constant action."
    if tau is not None:
        evidence += f"; another action has a higher reward from a probability of {tau:.2f}"
        if tau > 0.9:
            meaning += " The reward favours it: hardly any case is certain enough for another action."
        elif prevalence < tau:
            meaning += " It is the best action if only the share of positive cases is known; it has not learned more."
    return Finding(
        name="policy_collapse",
        severity="problem",
        layer="reward" if tau is not None and tau > 0.9 else "policy",
        title="the greedy policy takes one action for everything",
        evidence=evidence,
        meaning=meaning,
        change=f"reward={run.setting('env.name')}" if tau is not None and tau > 0.9 else None,
        source="modal greedy action > .95 of the cases; τ: the smallest P where another action has a larger E[r]",
        certainty=0.8,
        data={"share": float(share), "action": modal, "prevalence": prevalence, "break_even": tau},
    )


def break_even(run: DiagnosedRun, action: int) -> float | None:
    """The smallest P(label = 1) at which another action has a higher expected reward than `action`; 1 if there is none.

    None if the reward does not depend on label and action only.
    """
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
