"""Start the service as a process on loopback, and control it: switch bugs, reset, end."""

from __future__ import annotations

import json
from collections.abc import Iterable

from rl_eval.domains.qase.service.bugs import check_bug_ids
from rl_eval.extras import require_extra
from rl_eval.net.embedded_service import START_S, EmbeddedProcess, start_process


class Service(EmbeddedProcess):
    """A running service; made by `start`.

    Attributes:
        token: for `Runner(base_url, truth_token=token)`; a secret shared by this process and the service.
    """

    def switch(self, bugs: Iterable[str]) -> None:
        """Switch to exactly these bugs, and reset.

        Raises:
            InputError: an unknown bug.
            RequestError: the service has ended.
        """
        self.control("PUT", "/_control/build", json.dumps({"bugs": sorted(check_bug_ids(bugs))}).encode())

    def reset(self) -> None:
        """Restore the initial users, products and orders.

        Raises:
            RequestError: the service has ended.
        """
        self.control("POST", "/_control/reset")


def start(bugs: Iterable[str] = (), patience_s: float = START_S) -> Service:
    """Start the service on a free port of 127.0.0.1 and wait until it listens.

    Args:
        patience_s: time limit for the start.

    Raises:
        InputError: an unknown bug, or the packages of the service are missing.
        NotStartedError: it did not start, with what it printed.
    """
    require_extra("qase", "the embedded service", "fastapi", "uvicorn")
    arguments = ["--bugs", ",".join(sorted(check_bug_ids(bugs)))]
    return Service(*start_process("rl_eval.domains.qase.service", arguments, patience_s))
