"""Runs side by side: read, grouped, refused where they are not comparable, played alike, and told apart by evidence.

`sources` (run directories and W&B -> `entry`) -> `groups` (one candidate a config) -> `scores` (the same episodes for
all) -> `statistics` (pure; `permutation` decides) -> `comparison` (as data) -> `tables` and `page`.
"""

from rl_eval.compare.comparison import Comparison, compare_runs

__all__ = ["Comparison", "compare_runs"]
