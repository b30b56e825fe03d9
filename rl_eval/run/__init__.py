"""The run directory: what training writes and everything else reads.

Only JSON, CSV, YAML and safetensors; every file but the append-only `metrics.csv` is written aside,
fsynced and renamed, so a reader never sees half of one.
"""

from rl_eval.run._checkpoint import (
    DamagedError,
    join_state,
    read_arrays,
    read_checkpoint,
    remove_directory,
    split_state,
    steps_in,
    write_checkpoint,
)
from rl_eval.run._directory import STATUSES, Run, config_hash, find_runs, is_sweep, read_run, sweep_jobs
from rl_eval.run._files import (
    MAX_JSON_BYTES,
    SCHEMA,
    as_json,
    create_directory,
    read_json,
    remove_leftovers,
    write_bytes,
    write_json,
    write_text,
)
from rl_eval.run._lock import held
from rl_eval.run._metrics_log import MetricsLog, read_metrics

__all__ = [
    "MAX_JSON_BYTES",
    "SCHEMA",
    "STATUSES",
    "DamagedError",
    "MetricsLog",
    "Run",
    "as_json",
    "config_hash",
    "create_directory",
    "find_runs",
    "held",
    "is_sweep",
    "join_state",
    "read_arrays",
    "read_checkpoint",
    "read_json",
    "read_metrics",
    "read_run",
    "remove_directory",
    "remove_leftovers",
    "split_state",
    "steps_in",
    "sweep_jobs",
    "write_bytes",
    "write_checkpoint",
    "write_json",
    "write_text",
]
