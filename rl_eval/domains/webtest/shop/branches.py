"""Which branches of the shop's code ran, for each copy: what `coverage` measures of this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from rl_eval.extras import imports_of_extra

FOLDER = Path(__file__).parent
FILES = tuple(
    str(file) for file in (*sorted((FOLDER / "pages").glob("*.py")), FOLDER / "fields.py", FOLDER / "visit.py")
)


class BranchRecord:
    """Records branches from its making on. Nothing else in the process may use `coverage`."""

    def __init__(self) -> None:
        with imports_of_extra("browser", "the branch coverage of the shop"):
            import coverage
        self._coverage = coverage.Coverage(
            data_file=None, branch=True, include=FILES, config_file=False, messages=False
        )
        self._coverage.start()
        self._episodes: dict[str, int] = {}
        # File -> line -> the number of its exits, where there are two or more.
        self._exits = {
            file: {line: exits for line, (exits, _) in self._coverage.branch_stats(file).items()} for file in FILES
        }

    @contextlib.contextmanager
    def of(self, copy: str) -> Iterator[None]:
        """Count what runs inside for a copy."""
        self._coverage.switch_context(self._context(copy))
        try:
            yield
        finally:
            self._coverage.switch_context("")

    def start(self, copy: str) -> None:
        """Begin again from no branch."""
        self._episodes[copy] = self._episodes.get(copy, 0) + 1

    def _context(self, copy: str) -> str:
        return f"{copy}:{self._episodes.get(copy, 0)}"

    def taken(self, copy: str) -> int:
        """The number of branches that this copy took since its start."""
        data = self._coverage.get_data()
        data.set_query_context(self._context(copy))
        try:
            return sum(
                len({arc for arc in data.arcs(file) or () if arc[0] in exits}) for file, exits in self._exits.items()
            )
        finally:
            data.set_query_contexts(None)

    def total(self) -> int:
        """The number of branches of the pages."""
        return sum(sum(exits.values()) for exits in self._exits.values())
