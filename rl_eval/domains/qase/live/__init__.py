"""Live execution: Qase's cases as HTTP requests to one base URL (`docs/qase-service.md`).

- `parse_case(case)` returns the calls of a case, or the reason why it cannot be run.
- `Runner(base_url)` runs single cases; `run_cycle` runs many in an order until the budget is spent.
- `draw_builds(seed, n)` draws the bugs of n builds of the embedded service.

Importing this is light: httpcore is loaded by the first `Runner`.
"""

from rl_eval.domains.qase.live.build_schedule import bug_ids, draw_builds
from rl_eval.domains.qase.live.calls import Call, CallPlan, NotRunnable, parse_case
from rl_eval.domains.qase.live.cycle import CycleResult, run_cycle
from rl_eval.domains.qase.live.runner import (
    BLOCKED,
    FAILED,
    NOT_RUN,
    NOT_RUNNABLE,
    PASSED,
    STATUS_NAMES,
    CaseResult,
    Runner,
)

__all__ = [
    "BLOCKED", "FAILED", "NOT_RUN", "NOT_RUNNABLE", "PASSED", "STATUS_NAMES", "Call", "CallPlan", "CaseResult",
    "CycleResult", "NotRunnable", "Runner", "bug_ids", "draw_builds", "parse_case", "run_cycle",
]  # fmt: skip
