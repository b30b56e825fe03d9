"""Start the shop as a process on loopback, and control it: builds, snapshots, branch coverage."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from rl_eval.domains.webtest.shop.defects import check_defect_ids
from rl_eval.extras import require_extra
from rl_eval.net.embedded_service import START_S, EmbeddedProcess, start_process

# Which copy of the shop a request is for: each has its own database and build. Without the header: the first one.
COPY_HEADER = "X-Shop-Copy"


class Branches(NamedTuple):
    """Branches that ran, of how many."""

    taken: int
    total: int


class Shop(EmbeddedProcess):
    """A running shop; made by `start`.

    It holds copies with a database and a build each; a request says which with the header `X-Shop-Copy`.
    """

    def start_episode(self, defects: Iterable[str] = (), copy: str = "") -> None:
        """Switch a copy to exactly these defects, restore its data, and count its branches from none.

        Raises:
            InputError: an unknown defect.
            RequestError: the shop has ended.
        """
        self._ask("start", copy=copy, defects=sorted(check_defect_ids(defects)))

    def snapshot(self, copy: str = "") -> bytes:
        """The database of a copy.

        Raises:
            RequestError: the shop has ended.
        """
        return base64.b64decode(self._ask("snapshot", copy=copy)["snapshot"])

    def restore(self, snapshot: bytes, copy: str = "") -> None:
        """Return the database of a copy to a snapshot.

        Raises:
            RequestError: the shop has ended.
        """
        self._ask("restore", copy=copy, snapshot=base64.b64encode(snapshot).decode())

    def branches(self, copy: str = "") -> Branches:
        """Branches of its code that a copy took since `start_episode`.

        Raises:
            RequestError: the shop has ended, or was started without `branches`.
        """
        return Branches(**self._ask("branches", copy=copy))

    def _ask(self, path: str, **asked: Any) -> dict[str, Any]:
        return json.loads(self.control("POST", f"/_control/{path}", json.dumps(asked).encode()))


def start(defects: Iterable[str] = (), branches: bool = False, patience_s: float = START_S) -> Shop:
    """Start the shop on a free port of 127.0.0.1 and wait until it listens.

    Args:
        defects: of every copy until `start_episode` says otherwise.
        branches: whether to record branch coverage.
        patience_s: time limit for the start.

    Raises:
        InputError: an unknown defect, or the packages of the shop are missing.
        NotStartedError: it did not start, with what it printed.
    """
    require_extra("browser", "the embedded shop", "fastapi", "uvicorn", *(["coverage"] if branches else []))
    arguments = ["--defects", ",".join(sorted(check_defect_ids(defects))), *(["--branches"] if branches else [])]
    return Shop(*start_process("rl_eval.domains.webtest.shop", arguments, patience_s))
