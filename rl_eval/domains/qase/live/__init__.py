"""Live execution: Qase's cases as HTTP requests to one base URL (`docs/qase-service.md`).

- `parse(case)` gives the calls of a case, or the reason why it cannot be run.
- `Runner(base_url)` runs one case at a time; `run_cycle` runs many in an order until the time is spent.
- `builds(seed, n)` is a schedule of the bugs that builds of the embedded service have.

Importing this is light: httpcore is loaded by the first `Runner`.
"""

from rl_eval.domains.qase.live.build_schedule import bug_ids, builds
from rl_eval.domains.qase.live.calls import Call, NotRunnable, Plan, parse
from rl_eval.domains.qase.live.cycle import Cycle, run_cycle
from rl_eval.domains.qase.live.runner import (
    BLOCKED,
    FAILED,
    NOT_RUN,
    NOT_RUNNABLE,
    PASSED,
    STATUS_NAMES,
    Outcome,
    Runner,
)

__all__ = [
    "BLOCKED", "FAILED", "NOT_RUN", "NOT_RUNNABLE", "PASSED", "STATUS_NAMES", "Call", "Cycle", "NotRunnable", "Outcome",
    "Plan", "Runner", "bug_ids", "builds", "parse", "run_cycle",
]  # fmt: skip
