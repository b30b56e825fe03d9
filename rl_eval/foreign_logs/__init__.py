"""Logs of other programs: CSV files and TensorBoard event files of Stable-Baselines3, CleanRL and others.

`columns` is the one map from their names to ours; `csv_logs` and `event_files` read the files.
"""

from rl_eval.foreign_logs.columns import parse_columns, translate
from rl_eval.foreign_logs.foreign_log import ForeignLog
from rl_eval.foreign_logs.reading import find_logs, is_log, read_log

__all__ = ["ForeignLog", "find_logs", "is_log", "parse_columns", "read_log", "translate"]
