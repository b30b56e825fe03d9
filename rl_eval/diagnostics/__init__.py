"""Why a run fails: one small file a diagnostic, each a pure function of what the run tells.

`examine(read(path))` asks all of them; `rl-eval doctor` prints what they find.
"""

from rl_eval.diagnostics import (  # noqa: F401 - asked by their names
    _as_metric,
    _counter_not_wired,
    _critic_ceiling,
    _critic_explains_nothing,
    _dead_features,
    _dormant_units,
    _entropy,
    _exploration,
    _feature_shift,
    _gradients,
    _needs_more_steps,
    _normalised_value_loss,
    _normaliser,
    _numbers_disagree,
    _order_not_paid,
    _overestimation,
    _overfits,
    _policy_collapse,
    _policy_unmoved,
    _replay,
    _reward_hacking,
    _reward_range,
    _reward_terms,
    _silent_features,
    _stale_experience,
    _update_size,
)
from rl_eval.diagnostics._finding import LAYERS, SEVERITIES, Finding, sentence
from rl_eval.diagnostics._foreign import parse_columns
from rl_eval.diagnostics._reading import Reading
from rl_eval.diagnostics._registry import ask, diagnostic, examine, list_diagnostics, lookup
from rl_eval.diagnostics._seed_luck import seed_luck
from rl_eval.diagnostics._sources import read, runs_in

__all__ = [
    "LAYERS",
    "SEVERITIES",
    "Finding",
    "Reading",
    "ask",
    "diagnostic",
    "examine",
    "list_diagnostics",
    "lookup",
    "parse_columns",
    "read",
    "runs_in",
    "seed_luck",
    "sentence",
]
