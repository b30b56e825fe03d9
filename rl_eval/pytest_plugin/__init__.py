"""pytest collects `suites/*.yaml`: one item per criterion, judged on the runs that training left.

Importing this package imports nothing heavy, since pytest loads it in every session. The hooks are here, the items
in `_items`, the verdicts of a session in `_session`, what it prints in `_summary`, `--rl-train-missing` in
`_train_missing`.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from rl_eval.errors import InputError
from rl_eval.formatting import display_text
from rl_eval.pytest_plugin._badge import require_badge_name
from rl_eval.pytest_plugin._github import report_to_github
from rl_eval.pytest_plugin._items import SuiteFile, SuiteItem
from rl_eval.pytest_plugin._session import SESSION, SHARED, GateSession
from rl_eval.pytest_plugin._summary import print_summary, status_of, with_sentences, wrapped
from rl_eval.pytest_plugin._written_files import write_files

__all__ = ["SuiteFile", "SuiteItem"]

USAGE_ERROR = "rl_eval_usage_error"  # in the output of a worker of xdist


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of acceptance suites."""
    group = parser.getgroup("rl_eval", "acceptance suites of reinforcement-learning agents")
    group.addoption(
        "--rl-run",
        action="append",
        default=[],
        metavar="RUN",
        dest="rl_eval_run",
        help=(
            "judge this run or sweep, or a policy such as onnx:policy.onnx or sb3:ppo:model.zip (may be repeated); "
            "latest: the newest finished run of the suite's environment; best: by the suite's verdict so far, then by "
            "the score on validation; default: the newest runs that match the suite"
        ),
    )
    group.addoption(
        "--rl-train-missing",
        action="store_true",
        dest="rl_eval_train_missing",
        help="in a checkout of the project: train the missing runs first, with train.py",
    )
    group.addoption(
        "--rl-data",
        action="append",
        default=[],
        metavar="DIR|NAME=PATH",
        dest="rl_eval_data",
        help=(
            "data for suites that name none, for judging and training: a folder that has a folder for each data set "
            "(nsl-kdd for nsl_kdd), or the path of one data set (may be repeated); suites whose data or needs are "
            "missing are deselected"
        ),
    )
    group.addoption(
        "--rl-trust",
        action="store_true",
        dest="rl_eval_trust",
        help=(
            "allow policies (python:, sb3:), environments (module:Env-v0) and plugins to run their own code, policies "
            "of http: on other machines, and requests to env.base_url"
        ),
    )
    group.addoption(
        "--rl-outputs",
        metavar="DIR",
        dest="rl_eval_outputs",
        help="the folder of runs; default: outputs/ in the current directory, as for train.py",
    )
    group.addoption(
        "--rl-gate-cache",
        choices=("on", "off"),
        default="on",
        dest="rl_eval_gate_cache",
        help="on, the default: reuse a verdict while policy, suite, data and code are the same; off: judge again",
    )
    group.addoption(
        "--rl-workers",
        metavar="N|ray|ray://HOST:PORT",
        dest="rl_eval_workers",
        help=(
            "play episodes in N processes on this machine, on a new local Ray cluster (ray), or on a running cluster "
            "(ray://HOST:PORT of its client server, or ray://auto); the verdict is the same to the bit"
        ),
    )
    group.addoption(
        "--rl-ledger",
        metavar="FILE",
        dest="rl_eval_ledger",
        help=(
            "the file that records which policies were judged on which test set; default: outputs/ledger.jsonl in the "
            "current directory"
        ),
    )
    group.addoption(
        "--rl-against",
        metavar="RUN|FILE.json",
        dest="rl_eval_against",
        help="for each criterion with a margin: no worse than this run, policy or verdict file by more than the margin",
    )
    group.addoption(
        "--rl-verdict",
        metavar="FILE.json",
        dest="rl_eval_verdict",
        help="write the verdicts to this file, for `rl-eval report` and `rl-eval compare`",
    )
    group.addoption(
        "--rl-badge",
        metavar="FILE.svg|FILE.json",
        dest="rl_eval_badge",
        help="write a badge: a picture, or the JSON of an endpoint badge of shields.io",
    )
    group.addoption(
        "--rl-machine",
        metavar="NAME",
        dest="rl_eval_machine",
        help="the name of this machine in the price list; the summary then shows what each suite cost",
    )
    group.addoption(
        "--rl-prices", metavar="FILE", dest="rl_eval_prices", help="a price list of your own: see docs/scale.md"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin the gate session."""
    if config.getoption("rl_eval_outputs") and config.getoption("rl_eval_train_missing"):
        raise pytest.UsageError("--rl-train-missing trains into outputs/, so it cannot be used with --rl-outputs")
    if config.getoption("rl_eval_workers") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--rl-workers cannot be used with -n: it plays one suite after another")
    try:
        if badge := config.getoption("rl_eval_badge"):
            require_badge_name(Path(badge))
        config.stash[SESSION] = GateSession(config)
    except InputError as error:
        raise pytest.UsageError(display_text(str(error))) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the workers of gates, and remove what those of xdist shared."""
    session = config.stash.get(SESSION, None)
    if session is not None:
        session.stop_workers()
        session.shared.remove()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: name the folder where the workers share their verdicts."""
    node.workerinput[SHARED] = str(node.config.stash[SESSION].shared.make())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Under xdist: end with the usage error that a worker met while it collected."""
    if message := getattr(node, "workeroutput", {}).get(USAGE_ERROR):
        raise pytest.UsageError(display_text(message))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """YAML with `rl_eval:` at its top level is a suite; no other file is touched."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    from rl_eval.gates import is_suite_file

    if not is_suite_file(file_path):
        return None
    if not file_path.name.isprintable() or "::" in file_path.name:
        # pytest prints names as they are, and GitHub obeys a line that begins with `::`
        raise pytest.Collector.CollectError(
            f"{file_path.name!r} is no name for a suite: rename it, with printable characters and without `::`"
        )
    if file_path.is_relative_to(parent.config.rootpath):
        return SuiteFile.from_parent(parent, path=file_path)
    # pytest itself gives no name to an argument that is outside of its root
    place = Path(os.path.relpath(file_path, parent.config.rootpath)).as_posix()
    return SuiteFile.from_parent(parent, path=file_path, nodeid=place)


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --rl-data: deselect the suites whose data, or whose needs, are missing; refuse a name that none has."""
    if not config.getoption("rl_eval_data"):
        return
    gates = config.stash[SESSION]
    suites = {item.suite.path: item.suite for item in items if isinstance(item, SuiteItem)}
    if suites and not session.testsfailed:  # a file that cannot be collected is the first thing to report
        try:
            gates.require_known_places(suites.values())
        except InputError as error:
            if not hasattr(config, "workeroutput"):
                raise pytest.UsageError(display_text(str(error))) from None
            config.workeroutput[USAGE_ERROR] = str(error)  # a worker cannot raise it
            items.clear()
            return
    missing = {path: gates.missing(suite) for path, suite in suites.items()}
    without = [item for item in items if isinstance(item, SuiteItem) and missing[item.suite.path]]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
        gates.deselected = sorted({f"{item.suite.label} ({missing[item.suite.path]})" for item in without})


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Report which runs are judged, and which suites were deselected."""
    session = config.stash[SESSION]
    suites = [item.suite for item in items if isinstance(item, SuiteItem)]
    lines = []
    if suites and not (config.option.collectonly or config.getoption("rl_eval_train_missing")):
        lines = session.header(suites)
    if session.deselected:
        lines.append(
            display_text(f"deselected, because something that they need is missing: {', '.join(session.deselected)}")
        )
    return wrapped(lines, config.get_terminal_writer()) if lines else []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """The reason of a failure is a text, which the workers of xdist can send."""
    report = yield
    if (
        isinstance(item, SuiteItem)
        and call.excinfo is not None
        and isinstance(call.excinfo.value, pytest.fail.Exception)
    ):
        report.longrepr = str(call.excinfo.value)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print failures of suites between words."""
    with_sentences(report)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: Any) -> Any:
    """Count the items of suites that are not judged as such."""
    return status_of(report)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print each suite, only from the reports, so that it works under xdist too; and write what CI shows."""
    print_summary(terminalreporter)
    if not hasattr(config, "workerinput"):  # a worker of xdist has a terminal of its own, which nobody sees
        write_files(terminalreporter, config.stash[SESSION])
        report_to_github(terminalreporter)
