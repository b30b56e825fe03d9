"""Diagnostics: why a run fails. Each is a pure function of a run, in a small file of its own.

`all_findings(read(path))` runs all of them; `rl-eval doctor` prints the findings.
"""

from rl_eval import metrics
from rl_eval.diagnostics._as_metric import finds_nothing
from rl_eval.diagnostics._counter_not_wired import counter_not_wired
from rl_eval.diagnostics._critic_ceiling import critic_ceiling, explained_variance_of_ceiling
from rl_eval.diagnostics._critic_explains_nothing import critic_explains_nothing
from rl_eval.diagnostics._dead_features import dead_features
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun, diagnosed_run
from rl_eval.diagnostics._dormant_units import dormant_units
from rl_eval.diagnostics._entropy import entropy_collapse, entropy_never_falls
from rl_eval.diagnostics._exploration import exploration_ends_early
from rl_eval.diagnostics._feature_shift import feature_shift
from rl_eval.diagnostics._finding import LAYERS, SEVERITIES, Finding, sentence
from rl_eval.diagnostics._gradients import gradients_explode, gradients_vanish
from rl_eval.diagnostics._needs_more_steps import needs_more_steps
from rl_eval.diagnostics._normalised_value_loss import normalised_value_loss
from rl_eval.diagnostics._normaliser import normaliser_not_restored
from rl_eval.diagnostics._numbers_disagree import numbers_disagree
from rl_eval.diagnostics._overestimation import overestimation
from rl_eval.diagnostics._overfits import overfits
from rl_eval.diagnostics._policy_collapse import policy_collapse
from rl_eval.diagnostics._policy_unmoved import policy_unmoved
from rl_eval.diagnostics._registry import (
    DIAGNOSTICS,
    Diagnostic,
    all_findings,
    diagnostic,
    findings_of,
    list_diagnostics,
    lookup,
    register,
)
from rl_eval.diagnostics._replay import priorities_collapsed, stale_replay
from rl_eval.diagnostics._reward_hacking import reward_hacking
from rl_eval.diagnostics._reward_range import reward_range
from rl_eval.diagnostics._reward_terms import drowned_reward, unwired_reward
from rl_eval.diagnostics._seed_luck import seed_luck
from rl_eval.diagnostics._silent_features import silent_features
from rl_eval.diagnostics._sources import read
from rl_eval.diagnostics._stale_experience import stale_experience
from rl_eval.diagnostics._update_size import updates_too_large, updates_too_small

register(
    counter_not_wired, critic_ceiling, critic_explains_nothing, dead_features, dormant_units, drowned_reward,
    entropy_collapse, entropy_never_falls, exploration_ends_early, feature_shift, gradients_explode,
    gradients_vanish, needs_more_steps, normalised_value_loss, normaliser_not_restored, numbers_disagree,
    overestimation, overfits, policy_collapse, policy_unmoved, priorities_collapsed, reward_hacking, reward_range,
    silent_features, stale_experience, stale_replay, unwired_reward, updates_too_large, updates_too_small,
)  # fmt: skip
metrics.register(finds_nothing, explained_variance_of_ceiling)
metrics.METRICS.mark_built_in(finds_nothing.name, explained_variance_of_ceiling.name)
DIAGNOSTICS.mark_built_in(*DIAGNOSTICS)

__all__ = [
    "DIAGNOSTICS",
    "LAYERS",
    "SEVERITIES",
    "DiagnosedRun",
    "Diagnostic",
    "Finding",
    "all_findings",
    "diagnosed_run",
    "diagnostic",
    "findings_of",
    "list_diagnostics",
    "lookup",
    "read",
    "register",
    "seed_luck",
    "sentence",
]
