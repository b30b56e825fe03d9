"""pytest collects `suites/*.yaml`: one item a criterion, judged on the runs that training left.

Importing this module imports nothing heavy, since pytest loads it in every session.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rl_eval.errors import InputError

if TYPE_CHECKING:
    from rl_eval.gates import Criterion, CriterionVerdict, Selection, Suite, SuiteVerdict

_SHARED = "rl_eval_shared"
# What a report carries to the summary, to --junitxml and through xdist.
_PROPERTIES = (
    "suite", "criterion", "metric", "decision", "estimate", "direction", "threshold", "units", "run", "detail",
)  # fmt: skip


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of acceptance suites."""
    group = parser.getgroup("rl_eval", "acceptance suites of reinforcement-learning agents")
    group.addoption(
        "--run",
        action="append",
        default=[],
        metavar="DIR",
        dest="rl_eval_run",
        help="judge this run or sweep (may be repeated); default: the newest runs that match the suite",
    )
    group.addoption(
        "--train-missing",
        action="store_true",
        dest="rl_eval_train_missing",
        help="run train.py for suites whose runs are missing",
    )
    group.addoption(
        "--data",
        metavar="DIR",
        dest="rl_eval_data",
        help="where data sets lie, each in a folder of its name (nsl-kdd for nsl_kdd), for --train-missing; "
        "suites whose data is not there are deselected",
    )
    group.addoption(
        "--trust",
        action="store_true",
        dest="rl_eval_trust",
        help="allow policies and environments that a suite or run names to run code from outside this project",
    )
    group.addoption(
        "--outputs",
        metavar="DIR",
        dest="rl_eval_outputs",
        help="where runs are looked for; default: outputs/ below the root directory",
    )


def pytest_configure(config: pytest.Config) -> None:
    """One judge a session."""
    if config.getoption("rl_eval_outputs") and config.getoption("rl_eval_train_missing"):
        raise pytest.UsageError("--train-missing trains into outputs/, so it cannot be used with --outputs")
    config.stash[_JUDGE] = _Judge(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the workers shared."""
    judge = config.stash.get(_JUDGE, None)
    if judge is not None and judge.shared is not None and judge.owns_shared:
        shutil.rmtree(judge.shared, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: name the folder in which the workers share their verdicts."""
    node.workerinput[_SHARED] = str(node.config.stash[_JUDGE].shared_with_workers())


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """YAML with `rl_eval:` at its top level is a suite; no other file is touched."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    from rl_eval.gates import says_suite

    return SuiteFile.from_parent(parent, path=file_path) if says_suite(file_path) else None


class SuiteFile(pytest.File):
    """One acceptance suite."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its criteria, in the order of the file."""
        from rl_eval.gates import load_suite

        try:
            suite = load_suite(self.path, shown=self.nodeid)
        except InputError as error:
            raise self.CollectError(str(error)) from None
        for criterion in suite.criteria:
            yield CriterionItem.from_parent(self, name=criterion.name, suite=suite, criterion=criterion)


class CriterionItem(pytest.Item):
    """One criterion: an error where it cannot be judged, a failure where it is missed."""

    def __init__(self, *, suite: Suite, criterion: Criterion, **keywords: Any):
        super().__init__(**keywords)
        self.suite, self.criterion = suite, criterion
        self._verdict: CriterionVerdict | None = None

    def setup(self) -> None:
        """Obtain the verdict; the first criterion of a suite pays for its episodes."""
        found = self.config.stash[_JUDGE].verdict_of(self.suite)
        verdict = next(each for each in found.criteria if each.criterion == self.criterion.name)
        values = [(name, getattr(verdict, name)) for name in _PROPERTIES]
        self.user_properties.extend((name, value) for name, value in values if value is not None)
        if verdict.decision == "ERROR":
            pytest.fail(verdict.detail, pytrace=False)
        self._verdict = verdict

    def runtest(self) -> None:
        """Fail where the criterion is not passed."""
        assert self._verdict is not None
        if self._verdict.decision != "PASS":
            pytest.fail(self._sentence(), pytrace=False)

    def _sentence(self) -> str:
        assert self._verdict is not None
        detail, run = self._verdict.detail, self._verdict.run
        return detail if run is None or run in detail else f"{detail} (run {run})"

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the criterion stands."""
        return self.path, self.criterion.line - 1, self.nodeid


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --data: leave out the suites whose data is not there."""
    judge = config.stash[_JUDGE]
    if not config.getoption("rl_eval_data"):
        return
    gone = [item for item in items if isinstance(item, CriterionItem) and judge.lacks_data(item.suite)]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
        judge.left_out = sorted({f"{item.suite.shown} (no {judge.place_of(item.suite)})" for item in gone})


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Say which suites were left out."""
    left_out = config.stash[_JUDGE].left_out
    return [f"left out for want of data: {', '.join(left_out)}"] if left_out else []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of all criteria, from the reports alone, so that it works under xdist too."""
    reports: dict[str, tuple[Any, dict[str, Any]]] = {}
    for listed in terminalreporter.stats.values():
        for report in listed:
            properties = dict(getattr(report, "user_properties", ()))
            if "criterion" in properties and "decision" in properties:
                reports[report.nodeid] = (report.location, properties)
    if not reports:
        return
    from rl_eval.terminal import console_for, criteria_table

    rows = [row for _, row in sorted(reports.values(), key=lambda pair: (pair[0][0], pair[0][1]))]
    terminalreporter.section("acceptance criteria")
    terminalreporter.flush()
    console = console_for(terminalreporter._tw._file)
    console.print(criteria_table(rows))


# --- judging ---------------------------------------------------------------------------------------


class _Judge:
    """Judges each suite once a session, however many processes ask."""

    def __init__(self, config: pytest.Config):
        self._config = config
        self._verdicts: dict[Path, SuiteVerdict] = {}
        self.left_out: list[str] = []
        self.owns_shared = False
        given = getattr(config, "workerinput", {}).get(_SHARED)
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
        from rl_eval.gates import judge, not_judged

        try:
            verdict = judge(suite, self._select(suite), trust=self._config.getoption("rl_eval_trust"))
        except InputError as error:
            verdict = not_judged(suite, str(error))
        if self.shared:
            (self.shared / f"{key}.json").write_text(json.dumps(verdict.to_json()))
        return verdict

    def _select(self, suite: Suite) -> Selection:
        from rl_eval.gates import named_runs, newest_group

        if named := self._config.getoption("rl_eval_run"):
            return named_runs(suite, [self._path(path) for path in named])
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
            self._train(suite)
            return newest_group(suite, outputs)

    def _path(self, path: str | Path) -> Path:
        """Short where it can be: below the current directory, relative to it."""
        absolute = (self._config.invocation_params.dir / path).resolve()
        return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute

    # --- --train-missing ---------------------------------------------------------------------------

    def place_of(self, suite: Suite) -> Path:
        """Where --data has the data of a suite."""
        folder = str(getattr(suite.env, "data", "")).replace("_", "-")
        return self._config.invocation_params.dir / self._config.getoption("rl_eval_data") / folder

    def lacks_data(self, suite: Suite) -> bool:
        """Whether a suite needs data that it does not place, and --data does not hold."""
        from rl_eval.gates import needs_path

        return needs_path(suite) and not self.place_of(suite).exists()

    def _train(self, suite: Suite) -> None:
        from rl_eval.gates import needs_path, train_arguments, train_command

        script = self._config.rootpath / "train.py"
        if not script.is_file():
            raise InputError(
                f"--train-missing runs {script}, which does not exist: train elsewhere and name the run with --run"
            )
        place = None
        if needs_path(suite):
            if not self._config.getoption("rl_eval_data"):
                raise InputError(
                    f"{suite.shown} needs data whose place it does not say: name the folder of all data sets with "
                    f"--data, or train with `{train_command(suite)}`"
                )
            place = os.path.relpath(self.place_of(suite), self._config.rootpath)
        for arguments in train_arguments(suite, place):
            self._run([sys.executable, str(script), *arguments], "python train.py " + " ".join(arguments))

    def _run(self, command: list[str], shown: str) -> None:
        """Train in a process of its own, its lines passed on as they come.

        Raises:
            InputError: it failed; says its last line.
        """
        capture = self._config.pluginmanager.getplugin("capturemanager")
        last: deque[str] = deque(maxlen=1)
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            print(f"\n{shown}", flush=True)
            process = subprocess.Popen(
                command,
                cwd=self._config.rootpath,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    last.extend([line.strip()] if line.strip() else [])
                status = process.wait()
            except BaseException:
                # Ctrl-C reached the training as well; it saves what it has and ends
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
        if status != 0:
            raise InputError(f"`{shown}` ended with status {status}: {last[0] if last else 'it said nothing'}")


_JUDGE = pytest.StashKey[_Judge]()
