"""Run directories: writing them, and reading them without trusting their content.

It holds only JSON, CSV, YAML and safetensors. Every file except the append-only `metrics.csv` is written under a
temporary name, fsynced and renamed, so a reader never sees half of one.
"""

from rl_eval.run._checkpoint import (
    DamagedError,
    arrays_sha256,
    join_state,
    read_arrays,
    read_checkpoint,
    remove_directory,
    split_state,
    step_directories,
    step_name,
    step_of,
    strip_prefix,
    write_checkpoint,
)
from rl_eval.run._decisions import SEVERITY, worst_decision
from rl_eval.run._directory import (
    INCIDENTAL_HARDWARE,
    INCIDENTAL_KEYS,
    STATUSES,
    Run,
    config_hash,
    deciding_settings,
    environment_of,
    find_runs,
    fits_config_file,
    read_info,
    read_run,
    resume_command,
)
from rl_eval.run._files import (
    MAX_JSON_BYTES,
    SCHEMA,
    as_json,
    create_directory,
    discard_directory,
    fsync,
    read_json,
    remove_leftovers,
    require_room,
    write_bytes,
    write_json,
    write_text,
)
from rl_eval.run._lock import lock
from rl_eval.run._metrics_log import MetricsLog, read_metrics
from rl_eval.run._record import (
    RunRecord,
    finite,
    read_record,
    read_verdicts,
    validation_metric,
    validation_score,
)
from rl_eval.run._recorded_files import FILES_SHA256, file_sha256, read_preprocessing, read_recorded
from rl_eval.run._spent import SpentFile, open_spent
from rl_eval.run._storage import storage_error
from rl_eval.run._sweep import expand_sweeps, is_sweep, sweep_jobs
from rl_eval.run._table import read_table
from rl_eval.run._trials_text import trials_text

__all__ = [
    "FILES_SHA256",
    "INCIDENTAL_HARDWARE",
    "INCIDENTAL_KEYS",
    "MAX_JSON_BYTES",
    "SCHEMA",
    "SEVERITY",
    "STATUSES",
    "DamagedError",
    "MetricsLog",
    "Run",
    "RunRecord",
    "SpentFile",
    "arrays_sha256",
    "as_json",
    "config_hash",
    "create_directory",
    "deciding_settings",
    "discard_directory",
    "environment_of",
    "expand_sweeps",
    "file_sha256",
    "find_runs",
    "finite",
    "fits_config_file",
    "fsync",
    "is_sweep",
    "join_state",
    "lock",
    "open_spent",
    "read_arrays",
    "read_checkpoint",
    "read_info",
    "read_json",
    "read_metrics",
    "read_preprocessing",
    "read_record",
    "read_recorded",
    "read_run",
    "read_table",
    "read_verdicts",
    "remove_directory",
    "remove_leftovers",
    "require_room",
    "resume_command",
    "split_state",
    "step_directories",
    "step_name",
    "step_of",
    "storage_error",
    "strip_prefix",
    "sweep_jobs",
    "trials_text",
    "validation_metric",
    "validation_score",
    "worst_decision",
    "write_bytes",
    "write_checkpoint",
    "write_json",
    "write_text",
]
