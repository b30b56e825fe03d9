"""`rl-eval qase prioritise`: order the cases of the next cycle by an agent or a baseline; print them and write CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete
from rich.console import Console

from rl_eval.domains.qase.commands import create_run, pytest_order
from rl_eval.domains.qase.commands.choose_policy import Choice, choose_policy
from rl_eval.domains.qase.commands.next_cycle import CycleOrder, NextCycle, empty_log, next_cycle, order_cases, to_csv
from rl_eval.domains.qase.commands.order_table import left_out_text, print_table, result_lines
from rl_eval.domains.qase.config import LEVELS, Config, milliseconds
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.domains.qase.environment_variables import data_path
from rl_eval.domains.qase.formats.junit_project import Test, named_tests, project_of_tests
from rl_eval.domains.qase.formats.load import ImportedProject, load
from rl_eval.domains.qase.model.execution_log import ExecutionLog
from rl_eval.domains.qase.model.project import Project, short_repr
from rl_eval.errors import InputError
from rl_eval.policy import Policy, Spaces, names_policy, scores
from rl_eval.policy import load as load_policy
from rl_eval.run import read_run, trials_text, write_text
from rl_eval.terminal import console_for, labelled_line

_BATCH_SIZE = 1024  # cases per call of the policy
_OUT = Path("prioritised.csv")


@dataclass(frozen=True)
class Options:
    """What `prioritise` should do.

    Attributes:
        path: the export; None: the JUnit reports, or `QASE_DATA_PATH`.
        results: path of further results; None: only `path` is read.
        junit: folder of JUnit reports of earlier cycles, in the place of `results`.
        collected: file with the tests that pytest collects, `-` for standard input.
        budget: a time such as `20m`; None: all cases fit.
        policy: the policy that orders; None: see `choose_policy`.
        show: number of cases to print; 0: all.
        out: the CSV file; None: `prioritised.csv`, and none with `pytest`.
        pytest: whether only node ids are printed.
        create_run: code of the project where a run of these cases is created.
        title: of that run.
        send: whether it is created, rather than shown.
        trust: whether code from elsewhere may run.
    """

    path: str | None = None
    results: str | None = None
    junit: str | None = None
    collected: str | None = None
    budget: str | None = None
    policy: str | None = None
    show: int = 20
    out: Path | None = None
    pytest: bool = False
    create_run: str | None = None
    title: str | None = None
    send: bool = False
    trust: bool = False


@dataclass(frozen=True)
class _Cases:
    """The cases and their history.

    Attributes:
        gone: bool `[C]`, cases that no longer exist.
        tests: by case id - 1, where the tests of JUnit reports are the cases; else None.
        collected: node ids that pytest collected, if they were given.
    """

    project: Project
    log: ExecutionLog
    gone: np.ndarray
    tests: list[Test] | None
    collected: Sequence[str] = ()


def prioritise_cases(options: Options) -> None:
    """Order the cases of the next cycle, print the first of them, and write all of them as CSV.

    Raises:
        InputError: options that exclude each other; an invalid budget, or a budget without any known duration; no
            cases; a policy that does not fit or needs verdicts of the next cycle; a file that cannot be read or
            written; a run that Qase does not create.
    """
    if options.create_run is None and (options.send or options.title is not None):
        raise InputError(f"{'--send' if options.send else '--title'} is about a run in Qase: add --create-run CODE")
    budget_ms = _budget(options.budget)
    source, results = _sources(options)
    out = options.out if options.pytest else options.out or _OUT
    if out is not None:
        _refuse_overwriting(out, source, results, options.collected)
    imported = load(source, results)
    cases = _read_cases(imported, source, options)
    if options.create_run is not None:
        create_run.check(options.create_run, source, is_tests=cases.tests is not None)
    cycle = next_cycle(cases.project, cases.log, cases.gone)
    if not len(cycle.case):
        raise InputError(f"{source} has no case to order{left_out_text(cycle)}: export the whole project")
    if options.budget is not None and np.isnan(cycle.expected_ms).any():
        raise InputError(
            f"--budget {options.budget} needs durations, and no result has one: give results with "
            "durations as --results, or leave out --budget"
        )
    config = Config(data="qase", path=source, results=results)
    choice = (
        choose_policy(config, options.trust)
        if options.policy is None
        else Choice(options.policy, "named with --policy")
    )
    case_scores = _scores(choice.spec, cycle, config, options.trust)
    order = order_cases(cycle.expected_ms, case_scores, budget_ms, cycle.skipped)
    if out is not None:
        try:
            write_text(out, to_csv(cases.project, cycle, order))
        except OSError as error:
            raise InputError(f"{out} cannot be written ({error.strerror}): name another file with --out") from error
    console = console_for(stderr=options.pytest)
    _print_lines(console, _policy_lines(choice.spec, choice.why))
    console.print()
    if options.pytest:
        assert cases.tests is not None
        tests = [cases.tests[key - 1] for key in _ids(cases.project, cycle, order)]
        pytest_order.print_order(console, tests, cases.collected)
    else:
        print_table(console, cases.project, cycle, order, options.show, options.budget)
        console.print()
    _print_lines(console, result_lines(imported, cycle, order, options.budget, out))
    if options.create_run is not None:
        title = options.title or f"Cases most likely to fail first, by {choice.spec}"
        ids = _ids(cases.project, cycle, order)
        _print_lines(console, create_run.create(options.create_run, title, choice.spec, ids, send=options.send))


def _sources(options: Options) -> tuple[str, str | None]:
    """The path of the cases, and of further results."""
    if options.junit is not None and options.results is not None:
        raise InputError("--junit and --results are both given: give one of them")
    if options.junit is not None and options.path is None:
        return options.junit, None
    return data_path(options.path), options.results or options.junit


def _read_cases(imported: ImportedProject, source: str, options: Options) -> _Cases:
    if imported.project is None:
        raise InputError(f"{source} has results but no cases: give the export, and these as --results")
    are_tests = imported.joined is None and imported.results is not None
    if not are_tests:
        if options.pytest or options.collected is not None:
            raise InputError(
                "--pytest and --collected need tests by name: give their JUnit reports as --junit, without an export"
            )
        log = imported.log if imported.log is not None else empty_log(imported.project)
        return _Cases(imported.project, log, np.zeros(len(imported.project.cases), bool), None)
    assert imported.results is not None
    collected = list[str]()
    if options.collected is None:
        new, removed = list[Test](), pytest_order.removed_tests(imported.results)
    else:
        collected = pytest_order.read_collected(options.collected)
        new, removed = pytest_order.new_and_removed(imported.results, collected)
    project, log = project_of_tests(imported.results, source, new)
    gone = np.concatenate([removed, np.zeros(len(new), bool)])[[case.id - 1 for case in project.cases]]
    return _Cases(project, log, gone, [*named_tests(imported.results), *new], collected)


def _ids(project: Project, cycle: NextCycle, order: CycleOrder) -> list[int]:
    """Ids of the cases that fit in the budget, in running order."""
    return [project.cases[cycle.case[index]].id for index in order.order[: order.within].tolist()]


def _print_lines(console: Console, lines: list[tuple[str, str]]) -> None:
    for head, text in lines:
        console.print(labelled_line(f"{head:<11}", text, console.options, "bold"), soft_wrap=True)


def _budget(budget: str | None) -> float:
    if budget is None:
        return math.inf
    try:
        return milliseconds(budget)
    except ValueError as error:
        raise InputError(f"--budget {short_repr(budget)} is not a time: {error}") from error


def _refuse_overwriting(out: Path, *inputs: str | None) -> None:
    if any(path is not None and Path(path).resolve() == out.resolve() for path in inputs):
        raise InputError(f"--out {out} would overwrite an input file: give another file")


class _Candidates(dict[str, np.ndarray]):
    """The columns of cases that a policy may read before they run; access to any other is an error."""

    def __init__(self, spec: str, **columns: np.ndarray):
        super().__init__(**columns)
        self._spec = spec

    def __missing__(self, key: str) -> np.ndarray:
        raise InputError(
            f"policy {self._spec} orders by the {key} of each case, which is unknown before it runs: give another one"
        )


def _scores(spec: str, cycle: NextCycle, config: Config, trust: bool) -> np.ndarray:
    """The score of each case, `[K]`; the highest runs first."""
    space = Box(-np.inf, np.inf, (len(FEATURES),), np.float32)
    policy: Policy = load_policy(spec, Spaces("qase", space, Discrete(LEVELS)), config, trust=trust)
    batches = []
    for begin in range(0, len(cycle.case), _BATCH_SIZE):
        obs = cycle.features[begin : begin + _BATCH_SIZE]
        candidates = _Candidates(spec, position=np.arange(begin, begin + len(obs)))
        batches.append(scores(policy, obs, policy.act(obs, greedy=True), True, candidates))
    result = np.concatenate(batches)
    if not np.isfinite(result).all():
        raise InputError(f"policy {spec} gives a case a score that is not finite: give another with --policy")
    return result


def _policy_lines(spec: str, why: str) -> list[tuple[str, str]]:
    lines = [("policy", f"{spec}, {why}")]
    if not names_policy(spec):
        run = read_run(spec)
        env: dict[str, Any] = run.config["env"]
        if env.get("mode") == "live":
            lines.append(("trained on", "cases that it ran itself (env.mode=live)"))
        elif env.get("data") == "synthetic":
            lines.append(("trained on", f"the embedded project, not on this one: {_TRAIN}"))
        else:
            lines.append(("trained on", short_repr(env.get("path") or "QASE_DATA_PATH", 200)[1:-1]))
        if (text := trials_text(run)) is not None:
            lines.append(("trials", text))
    return lines


_TRAIN = "`python train.py env=qase env.data=qase env.path=EXPORT env.results=RESULTS` learns from yours"
