"""pytest collects `suites/*.yaml`: one item a criterion, judged on the runs that training left.

Importing this package imports nothing heavy, since pytest loads it in every session. The hooks are here, the items
in `_items`, the verdicts of a session in `_session`, `--rl-train-missing` in `_train_missing`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from rl_eval.errors import InputError
from rl_eval.formatting import display_text
from rl_eval.pytest_plugin._items import SuiteFile, SuiteItem
from rl_eval.pytest_plugin._session import SESSION, SHARED, GateSession

__all__ = ["SuiteFile", "SuiteItem"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of acceptance suites."""
    group = parser.getgroup("rl_eval", "acceptance suites of reinforcement-learning agents")
    group.addoption(
        "--rl-run",
        action="append",
        default=[],
        metavar="RUN",
        dest="rl_eval_run",
        help="judge this run or sweep, or a policy such as onnx:policy.onnx or sb3:ppo:model.zip (may be repeated); "
        "default: the newest runs that match the suite",
    )
    group.addoption(
        "--rl-train-missing",
        action="store_true",
        dest="rl_eval_train_missing",
        help="run train.py for suites whose runs are missing",
    )
    group.addoption(
        "--rl-data",
        action="append",
        default=[],
        metavar="DIR|NAME=PATH",
        dest="rl_eval_data",
        help="the data of suites that name none, to judge on and to train with: a folder of data sets, each in a "
        "folder of its name (nsl-kdd for nsl_kdd), or where one of them lies (may be repeated); suites whose data is "
        "missing are deselected",
    )
    group.addoption(
        "--rl-trust",
        action="store_true",
        dest="rl_eval_trust",
        help="allow policies, environments and plugins that a suite or run names to run code from outside this project",
    )
    group.addoption(
        "--rl-outputs",
        metavar="DIR",
        dest="rl_eval_outputs",
        help="where runs are looked for; default: outputs/ below the current directory, as for train.py",
    )
    group.addoption(
        "--rl-gate-cache",
        choices=("on", "off"),
        default="on",
        dest="rl_eval_gate_cache",
        help="reuse a verdict while policy, suite, data and code are the same; default: on",
    )
    group.addoption(
        "--rl-ledger",
        metavar="FILE",
        dest="rl_eval_ledger",
        help="where the policies judged on each test set are recorded; "
        "default: outputs/ledger.jsonl below the current directory",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin the gate session."""
    if config.getoption("rl_eval_outputs") and config.getoption("rl_eval_train_missing"):
        raise pytest.UsageError("--rl-train-missing trains into outputs/, so it cannot be used with --rl-outputs")
    try:
        config.stash[SESSION] = GateSession(config)
    except InputError as error:
        raise pytest.UsageError(display_text(str(error))) from None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the workers shared."""
    session = config.stash.get(SESSION, None)
    if session is not None and session.shared is not None and session.owns_shared:
        shutil.rmtree(session.shared, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Under xdist: name the folder in which the workers share their verdicts."""
    node.workerinput[SHARED] = str(node.config.stash[SESSION].share_with_workers())


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """YAML with `rl_eval:` at its top level is a suite; no other file is touched."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    from rl_eval.gates import is_suite_file

    return SuiteFile.from_parent(parent, path=file_path) if is_suite_file(file_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --rl-data: deselect the suites whose data is missing."""
    if not config.getoption("rl_eval_data"):
        return
    session = config.stash[SESSION]
    without_data = [item for item in items if isinstance(item, SuiteItem) and session.lacks_data(item.suite)]
    if without_data:
        config.hook.pytest_deselected(items=without_data)
        items[:] = [item for item in items if item not in without_data]
        missing = {f"{item.suite.label} (no {session.missing_data(item.suite)})" for item in without_data}
        session.deselected = sorted(missing)


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Report which runs are judged, and which suites were deselected."""
    session = config.stash[SESSION]
    lines = []
    if not (config.option.collectonly or config.getoption("rl_eval_train_missing")):
        lines = session.header(item.suite for item in items if isinstance(item, SuiteItem))
    if session.deselected:
        lines.append(display_text(f"deselected, since their data is missing: {', '.join(session.deselected)}"))
    return lines


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The table of all criteria, from the reports alone, so that it works under xdist too."""
    reports: dict[str, tuple[Any, dict[str, Any]]] = {}
    passed_over: dict[str, None] = {}  # in order, without duplicates
    judged: dict[tuple[str, str], None] = {}
    for reports_of_outcome in terminalreporter.stats.values():
        for report in reports_of_outcome:
            properties = dict(getattr(report, "user_properties", ()))
            passed_over |= {
                value: None for name, value in getattr(report, "user_properties", ()) if name == "passed_over"
            }
            judged |= {
                (str(properties.get("suite")), value): None
                for name, value in getattr(report, "user_properties", ())
                if name == "judged"
            }
            if "criterion" in properties and "decision" in properties:
                reports[report.nodeid] = (report.location, properties)
    if not reports:
        return
    from rl_eval.terminal import console_for, criteria_table, labelled_line, print_sentences

    def order(report: tuple[Any, dict[str, Any]]) -> tuple[str, bool, int]:
        (file, line, _), row = report
        return file, not row["direction"], line  # controls and the like come last

    rows = [row for _, row in sorted(reports.values(), key=order)]
    terminalreporter.section("acceptance criteria")
    terminalreporter.flush()
    console = console_for(terminalreporter._tw._file)
    console.print(criteria_table(rows))
    if passed := [row for row in rows if row["decision"] == "PASS" and row["by"] == "evidence"]:
        console.print()
        print_sentences(passed, console)  # pytest itself shows those of the others
    for suite, line in judged:
        console.print(labelled_line("judged", f"{suite}: {line}", console.options, "bold"), soft_wrap=True)
    for sentence in passed_over:
        console.print(labelled_line("passed over:", sentence, console.options, "bold yellow"), soft_wrap=True)
