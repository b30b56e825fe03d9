"""Strings that enter seeds, hashes and fingerprints of this domain. A changed one changes data or fingerprints."""

# Streams of the generator of the embedded data.
CASES_STREAM, CHANGES_STREAM, RUNS_STREAM, DURATIONS_STREAM = "cases", "changes", "runs", "durations"

# Fields of a case that its content hash leaves out; the hash covers all others by name and value.
UNHASHED_CASE_FIELDS = {"id", "suite_id", "milestone", "is_flaky", "is_muted"}

# Config keys in the fingerprint of a live part, in addition to its cases.
LIVE_FINGERPRINT_KEYS = {"base_url", "data_seed", "warmup", "held_out_cycles", "min_cases"}
