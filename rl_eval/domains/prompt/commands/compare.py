"""`rl-eval prompt compare`: is a new prompt better than an old one? A paired test that stops early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rl_eval.domains.prompt.commands.judge_choice import judge_facts
from rl_eval.domains.prompt.scoring.judge import Judge
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.errors import InputError
from rl_eval.evidence import EvidenceResult, PairedTest
from rl_eval.formatting import number, quantity
from rl_eval.stop_signals import interruptible
from rl_eval.terminal import ProgressLine, print_line

LEAST_ITEMS = 2


@dataclass(frozen=True)
class Comparison:
    """The evidence on the difference new − old.

    Attributes:
        items: of the task.
        calls: requests to the judge.
        calls_saved: further ones that all items would have taken.
    """

    result: EvidenceResult
    items: int
    calls: int
    calls_saved: int


def compare_prompts(
    old: str,
    new: str,
    task: Task,
    judge: Judge,
    *,
    alpha: float = 0.05,
    population: bool = False,
    seed: int = 0,
    interrupted: Callable[[Comparison], None] = lambda comparison: None,
) -> Comparison:
    """Ask a judge about both prompts, item by item in random order, until the evidence suffices.

    Args:
        population: whether the claim is about exactly these items; else it is about items like them.
        interrupted: is called with the comparison so far where a stop signal or the judge ends it.

    Raises:
        InputError: equal prompts, too few items, or a judge that cannot be asked.
        KeyboardInterrupt: a stop signal came.
    """
    if old == new:
        raise InputError("both prompts are the same text: compare two different ones")
    items = len(task.test)
    if items < LEAST_ITEMS:
        raise InputError(f"the task {task.name} has {quantity(items, 'test item')}: add some to test.csv")
    test = PairedTest(
        0.0, judge.low, judge.high, alpha, "better_than", population=items if population else None, limit=items
    )
    before = judge.calls

    def so_far() -> Comparison:
        calls = judge.calls - before
        return Comparison(test.result, items, calls, max(0, 2 * judge.calls_of(items) - calls))

    def leave() -> None:
        if test.units:
            interrupted(so_far())

    order = np.random.default_rng(seed).permutation(items)
    try:
        with interruptible(leave), ProgressLine(items, f"comparison by {judge.name}", unit="items") as progress:
            for done, index in enumerate(order, 1):
                item = [task.test[index]]
                test.extend(judge.values(new, task, item), judge.values(old, task, item))
                progress.update(done)
                if test.decision != "INCONCLUSIVE":
                    break
    except (KeyboardInterrupt, InputError):
        leave()
        raise
    return so_far()


def compare_and_print(
    old: str, new: str, task: Task, judge: Judge, *, alpha: float = 0.05, population: bool = False
) -> bool:
    """Compare, and print what the evidence says; returns whether it is PASS.

    Raises:
        InputError: as `compare_prompts`.
        KeyboardInterrupt: a stop signal came; the evidence so far is printed.
    """

    def show(comparison: Comparison) -> None:
        for line in (*describe(comparison, judge, population=population), *judge_facts(judge)):
            print_line(line)

    def show_interrupted(comparison: Comparison) -> None:
        show(comparison)
        print_line(
            f"interrupted after {comparison.result.units} of {quantity(comparison.items, 'item')}: the same command "
            "goes on with the answers that --cache FILE has kept, and starts again without it"
        )

    comparison = compare_prompts(
        old, new, task, judge, alpha=alpha, population=population, interrupted=show_interrupted
    )
    show(comparison)
    return comparison.result.decision == "PASS"


def describe(comparison: Comparison, judge: Judge, *, population: bool) -> list[str]:
    """The comparison as lines of text."""
    result = comparison.result
    low, high = result.interval
    about = "on exactly these items" if population else "on items like these"
    words = {
        "PASS": f"the new prompt is better {about}",
        "FAIL": f"the new prompt is not better {about}",
        "INCONCLUSIVE": f"the evidence does not show whether the new prompt is better {about}",
    }
    lines = [
        f"{result.decision}: {words[result.decision]}",
        f"difference of the {judge.measure}, new − old: {number(result.estimate)} "
        f"(interval {number(low, 3)} to {number(high, 3)})",
        f"{result.units} of {quantity(comparison.items, 'item')} and {quantity(comparison.calls, 'call')} of "
        f"{judge.name}; stopping early saved {quantity(comparison.calls_saved, 'call')}",
    ]
    if result.decision == "INCONCLUSIVE" and result.more is not None:
        lines.append(f"about {quantity(result.more, 'more item')} would decide if they are like these")
    return lines
