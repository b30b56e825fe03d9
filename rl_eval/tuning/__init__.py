"""A search for settings: trials of training, compared only on the validation part, and the preset they end with.

Every trial is a few runs in a folder of its own; a file of Optuna's next to them remembers what was tried. A search
that was stopped or killed goes on from both, and ends as one that was not.
"""

from rl_eval.tuning._preset import preset_text, require_free, write_preset
from rl_eval.tuning._search import Search, SearchResult, TrialResult, search
from rl_eval.tuning._space import Dimension, default_space, read_space

__all__ = [
    "Dimension",
    "Search",
    "SearchResult",
    "TrialResult",
    "default_space",
    "preset_text",
    "read_space",
    "require_free",
    "search",
    "write_preset",
]
