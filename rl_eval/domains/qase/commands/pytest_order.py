"""Tests of JUnit reports as pytest names them, and which of them still exist."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from rl_eval.domains.qase.formats.junit_project import Test, named_tests
from rl_eval.domains.qase.formats.values import decode_utf8, read_bytes
from rl_eval.domains.qase.model.project import short_repr
from rl_eval.domains.qase.model.results import Results
from rl_eval.errors import InputError
from rl_eval.terminal import labelled_line, print_line

NEWEST = 5  # runs; a test that is in none of them counts as removed
MAX_COLLECTED_BYTES = 64 << 20


def parse_node_id(node_id: str) -> Test:
    """The class and name that pytest writes into its JUnit report for a node id.

    `tests/api/test_users.py::TestLogin::test_twice[a]` is `test_twice[a]` of `tests.api.test_users.TestLogin`.
    """
    head, bracket, parameters = node_id.partition("[")
    file, *rest = head.split("::")
    module = file.removesuffix(".py").replace("/", ".")
    *classes, name = rest or [""]
    return tuple(part for part in (*module.split("."), *classes) if part), f"{name}{bracket}{parameters}"


def node_id(test: Test, root: Path) -> str:
    """The node id of a test. The reports of pytest do not say where the file ends and the class begins.

    The file is the longest one that exists below `root`; if none does, classes begin with a capital letter.
    """
    path, name = test
    split = next((n for n in range(len(path), 0, -1) if _file(path[:n], root).is_file()), 0)
    if not split:
        split = len(path)
        while split > 1 and path[split - 1][:1].isupper():
            split -= 1
    return "::".join(["/".join(path[:split]) + ".py", *path[split:], name])


def _file(path: Sequence[str], root: Path) -> Path:
    return root.joinpath(*path[:-1], f"{path[-1]}.py")


def read_collected(path: str) -> list[str]:
    """The node ids of Python files in the output of `pytest --collect-only -q`: of a file or, for `-`, standard input.

    Raises:
        InputError: the file cannot be read, or holds no node id.
    """
    data = sys.stdin.buffer.read(MAX_COLLECTED_BYTES) if path == "-" else read_bytes(Path(path), MAX_COLLECTED_BYTES)
    ids = [line.strip() for line in decode_utf8(data, path).splitlines()]
    ids = list(dict.fromkeys(line for line in ids if ".py::" in line and not line.startswith(("ERROR", "FAILED"))))
    if not ids:
        raise InputError(f"{path} has no node id of pytest: give the output of `pytest --collect-only -q`")
    return ids


def removed_tests(results: Results) -> np.ndarray:
    """Which tests are in none of the `NEWEST` runs, bool by the index of their name."""
    recent = results.name[results.run >= len(results.runs) - NEWEST]
    return ~np.isin(np.arange(len(results.names)), recent)


def new_and_removed(results: Results, ids: Sequence[str]) -> tuple[list[Test], np.ndarray]:
    """Collected tests without results, and which tests with results were not collected, bool."""
    known = named_tests(results)
    collected = dict.fromkeys(parse_node_id(one) for one in ids)
    with_results = set(known)
    return [test for test in collected if test not in with_results], np.array([t not in collected for t in known], bool)


def print_order(console: Console, tests: Sequence[Test], collected: Sequence[str] = ()) -> None:
    """Print node ids on standard output, one per line, and on the console what to know before they are used.

    A test that was collected keeps the id that it has there.

    Raises:
        InputError: a name that pytest would take for an option, or that holds a control character.
    """
    written = {parse_node_id(one): one for one in collected}
    ids = [written.get(test) or node_id(test, Path.cwd()) for test in tests]
    for one in ids:
        if one.startswith("-") or not one.isprintable():
            raise InputError(f"the test {short_repr(one)} is not a node id that can be passed on: rename the test")
    for one in ids:
        print_line(one)
    missing = dict.fromkeys(file for file in (one.partition("::")[0] for one in ids) if not Path(file).is_file())
    if missing:
        hint = (
            f"{len(missing)} of the files are not below this folder, such as {next(iter(missing))}, and pytest runs "
            "nothing where one is missing: go to the folder of the tests, or give --collected"
        )
        console.print(labelled_line("note       ", hint, console.options, "bold"), soft_wrap=True)
    if any(" " in one for one in ids):
        hint = "some node ids have blanks, which a shell splits: write the list to a file and run `pytest @file`"
        console.print(labelled_line("note       ", hint, console.options, "bold"), soft_wrap=True)
