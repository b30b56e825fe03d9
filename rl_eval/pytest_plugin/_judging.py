"""Each suite is judged once a session, however many processes ask."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rl_eval.errors import InputError
from rl_eval.pytest_plugin import _training
from rl_eval.pytest_plugin._doctor import first_findings
from rl_eval.pytest_plugin._remembering import key_of, key_of_run

if TYPE_CHECKING:
    from rl_eval.gates import Selection, Suite, SuiteVerdict

SHARED = "rl_eval_shared"


class Judge:
    """Judges each suite once a session, however many processes ask."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._verdicts: dict[Path, SuiteVerdict] = {}
        self._findings: dict[str, list[str]] = {}
        self.left_out: list[str] = []
        self.owns_shared = False
        given = getattr(config, "workerinput", {}).get(SHARED)
        # a worker on another machine cannot see the folder, and judges by itself
        self.shared: Path | None = Path(given) if given and Path(given).is_dir() else None

    def shared_with_workers(self) -> Path:
        """A private folder of this session, made on first use."""
        if self.shared is None:
            self.shared, self.owns_shared = Path(tempfile.mkdtemp(prefix="rl_eval-")), True
        return self.shared

    def verdict_of(self, suite: Suite) -> SuiteVerdict:
        """The verdict of a suite, from this process, from another, or by judging now."""
        if suite.path not in self._verdicts:
            key = hashlib.sha256(str(suite.path).encode()).hexdigest()[:16]
            with self._lock(key):
                self._verdicts[suite.path] = self._read(key) or self._judge(suite, key)
        return self._verdicts[suite.path]

    def findings_of(self, run: str | None) -> list[str]:
        """What doctor finds first in a run, looked for once a session; nothing where a criterion has no run."""
        if run is None:
            return []
        if run not in self._findings:
            key = f"doctor-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
            with self._lock(key):
                file = self.shared / f"{key}.json" if self.shared else None
                if file and file.exists():
                    self._findings[run] = json.loads(file.read_text())
                else:
                    self._findings[run] = self._look_at(run)
                    if file:
                        file.write_text(json.dumps(self._findings[run]))
        return self._findings[run]

    def _look_at(self, run: str) -> list[str]:
        """What doctor finds first; from an earlier session where nothing has changed since."""
        from rl_eval.gates import cache

        folder = self._path(self._config.rootpath / cache.FOLDER)
        name = key_of_run(run) if self._config.getoption("rl_eval_gate_cache") == "on" else None
        if name is not None and (values := cache.read(folder, name)):
            return values["findings"]
        found = first_findings(Path(run), trust=self._config.getoption("rl_eval_trust"))
        if name is not None:
            cache.write(folder, name, {"findings": found})
        return found

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        if self.shared is None:
            yield
            return
        from filelock import FileLock

        with FileLock(self.shared / f"{name}.lock"):
            yield

    def _read(self, key: str) -> SuiteVerdict | None:
        from rl_eval.gates import SuiteVerdict

        file = self.shared / f"{key}.json" if self.shared else None
        return SuiteVerdict.from_json(json.loads(file.read_text())) if file and file.exists() else None

    def _judge(self, suite: Suite, key: str) -> SuiteVerdict:
        from rl_eval.gates import not_judged

        try:
            verdict = self._remembered(suite, self._select(suite))
        except InputError as error:
            verdict = not_judged(suite, str(error))
        if self.shared:
            (self.shared / f"{key}.json").write_text(json.dumps(verdict.to_json()))
        return verdict

    def _remembered(self, suite: Suite, selection: Selection) -> SuiteVerdict:
        """The verdict of an earlier session where nothing has changed since; a new one is put on record."""
        from rl_eval.gates import SuiteVerdict, cache, judge
        from rl_eval.gates.ledger import record_verdict

        folder = self._path(self._config.rootpath / cache.FOLDER)
        name = key_of(suite, selection) if self._config.getoption("rl_eval_gate_cache") == "on" else None
        if name is not None and (values := cache.read(folder, name)):
            return SuiteVerdict.from_json(values)
        verdict = judge(suite, selection, trust=self._config.getoption("rl_eval_trust"))
        verdict = record_verdict(
            self._path(self._config.getoption("rl_eval_ledger") or self._default_ledger()), selection, verdict
        )
        if name is not None and verdict.decision != "ERROR":  # the cause of an error may be gone
            cache.write(folder, name, verdict.to_json())
        return verdict

    def _default_ledger(self) -> Path:
        from rl_eval.gates import ledger

        return self._config.rootpath / ledger.DEFAULT

    def _select(self, suite: Suite) -> Selection:
        from rl_eval.gates import named_runs, newest_group
        from rl_eval.policy import names_policy

        if named := self._config.getoption("rl_eval_run"):
            return named_runs(suite, [each if names_policy(each) else self._path(each) for each in named])
        outputs = self._path(self._config.getoption("rl_eval_outputs") or self._config.rootpath / "outputs")
        if not self._config.getoption("rl_eval_train_missing"):
            return newest_group(suite, outputs)
        with self._lock("train"):  # two suites may want the same runs
            try:
                found = newest_group(suite, outputs)
            except InputError:
                found = None
            if found is not None and not found.too_few:
                return found
            _training.train(self._config, suite)
            return newest_group(suite, outputs)

    def _path(self, path: str | Path) -> Path:
        """Short where it can be: below the current directory, relative to it."""
        absolute = (self._config.invocation_params.dir / path).resolve()
        return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


JUDGE = pytest.StashKey[Judge]()
