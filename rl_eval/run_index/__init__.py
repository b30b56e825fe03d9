"""The runs below a folder of outputs: read once, kept in `index.sqlite`, searched and sorted.

The index saves time and nothing else. What it holds is read from `run.json` and `verdict.json`, again as soon as one of
them has another size or time, and deleting it loses nothing. It is never evidence: a command that acts on a run
reads the run itself.
"""

from rl_eval.run_index._choice import best_run, latest_resumable, latest_run
from rl_eval.run_index._entry import Entry, SuiteResult, read_entry
from rl_eval.run_index._query import SORT_KEYS, Query, ranked, select
from rl_eval.run_index._refresh import Listing, list_runs
from rl_eval.run_index._wording import verdict_text

__all__ = [
    "SORT_KEYS",
    "Entry",
    "Listing",
    "Query",
    "SuiteResult",
    "best_run",
    "latest_resumable",
    "latest_run",
    "list_runs",
    "ranked",
    "read_entry",
    "select",
    "verdict_text",
]
