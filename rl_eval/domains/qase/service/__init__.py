"""The embedded service under test: a small shop with seeded bugs, its test cases, and a function to start it.

- `start()` runs it as a process on loopback; `Service.switch` and `Service.reset` control it.
- `BUGS` and `BUG_IDS` are the seeded bugs, in the order of the bits of `CaseResult.bugs`.
- `project()` returns its test cases, read from a Qase export.

Importing this is light: only the process loads FastAPI and uvicorn. See `docs/qase-service.md`.
"""

from rl_eval.domains.qase.service.bugs import BUG_IDS, BUGS, Bug
from rl_eval.domains.qase.service.cases import project
from rl_eval.domains.qase.service.process import Service, start
from rl_eval.net.embedded_service import NotStartedError

__all__ = ["BUGS", "BUG_IDS", "Bug", "NotStartedError", "Service", "project", "start"]
