"""The first findings of doctor on a run, shown with a criterion that failed on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.formatting import display_text, short_path
from rl_eval.pytest_plugin._cache_key import findings_key
from rl_eval.pytest_plugin._shared_folder import SharedFolder

MAX_FINDINGS = 2


class Doctor:
    """Looks at each run once per session, however many processes take part.

    Args:
        folder: where pytest was started.
        cached: whether findings of an earlier session count, where nothing has changed since.
    """

    def __init__(self, shared: SharedFolder, folder: Path, *, cached: Callable[[], bool], trust: bool):
        self._shared, self._folder, self._cached, self._trust = shared, folder, cached, trust
        self._findings: dict[str, list[str]] = {}
        self._shown: set[tuple[Path, str | None]] = set()

    def new_findings_of(self, suite: Path, run: str | None) -> list[str]:
        """The first findings on a run, for the first item of a suite that fails on it; empty for others."""
        if (suite, run) in self._shown:
            return []
        self._shown.add((suite, run))
        return self.findings_of(run)

    def findings_of(self, run: str | None) -> list[str]:
        """The first findings on a run; empty where a criterion has no run."""
        if run is None:
            return []
        if run not in self._findings:
            name = f"doctor-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
            with self._shared.lock(name):
                findings = self._shared.read(name)
                if findings is None:
                    findings = self._compute(run)
                    self._shared.write(name, findings)
                self._findings[run] = findings
        return self._findings[run]

    def _compute(self, run: str) -> list[str]:
        from rl_eval.gates import verdict_cache

        folder = short_path(self._folder / verdict_cache.FOLDER)
        key = findings_key(run) if self._cached() else None
        if key is not None and (findings := verdict_cache.read_findings(folder, key)) is not None:
            return findings
        findings = first_findings(Path(run), trust=self._trust)
        if key is not None:
            verdict_cache.write(folder, key, {"findings": findings})
        return findings


def first_findings(run: Path, *, trust: bool) -> list[str]:
    """`doctor: …; try …` for each of the first findings above a note; nothing if there is no run."""
    if not (run / "run.json").is_file():
        return []
    from rl_eval import diagnostics

    try:
        findings = diagnostics.all_findings(diagnostics.read(run, trust=trust))
    except InputError as error:
        return [display_text(f"doctor: {error}")]
    return [display_text(diagnostics.sentence(finding)) for finding in findings if finding.severity != "note"][
        :MAX_FINDINGS
    ]
