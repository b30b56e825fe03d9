"""Compare runs: group them by config, play the same episodes with all of them, and test which group is better.

`run_sources` reads run directories and W&B into `compared_run`; `groups` makes one group of each config; `scores`
plays the same episodes with all runs; `statistics` decides (pure functions; the tests are in `permutation`);
`comparison` holds the result as data; `tables` and `page` show it.
"""

from rl_eval.compare.comparison import Comparison, compare_runs

__all__ = ["Comparison", "compare_runs"]
