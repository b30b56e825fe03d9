"""`latest` and `best`: runs that a person names by a word. Each is read from its own files before it is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.formatting import decision_text, number, quantity
from rl_eval.metrics import lookup
from rl_eval.run import Run, lock, read_run
from rl_eval.run_index._entry import Entry, read_entry
from rl_eval.run_index._query import ranked
from rl_eval.run_index._refresh import list_runs

_RESUMABLE = ("running", "interrupted", "over_budget")  # a running one whose process is gone was killed


def latest_run(outputs: Path, env: str, fits: Callable[[Run], bool]) -> tuple[Run, str]:
    """The newest finished run, and a phrase that says so.

    Args:
        env: of its entry.
        fits: whether a run of that environment may be taken.

    Raises:
        InputError: there is none.
    """
    run, finished = _first(outputs, env, fits, lambda entries: entries)
    return run, f"the newest of {quantity(finished, 'finished run')} of {env}"


def best_run(outputs: Path, env: str, suite: str, fits: Callable[[Run], bool]) -> tuple[Run, str]:
    """The best finished run by what a suite decided on it before, then by its score on validation; and why.

    Runs whose score is of another metric than the newest run's come after those that share it.

    Args:
        env: of its entry.
        suite: whose decisions count.
        fits: whether a run of that environment may be taken.

    Raises:
        InputError: there is none.
    """
    run, finished = _first(outputs, env, fits, lambda entries: _best_first(entries, suite))
    entry = read_entry(run.path, "")
    decisions = [result.decision for result in entry.suites if result.suite == suite]
    verdict = f"{decision_text(decisions[0])} of {suite}" if decisions else f"not judged by {suite}"
    score = "" if entry.score is None else f", {entry.metric} {number(entry.score)} on validation"
    return run, (
        f"the best of {quantity(finished, 'finished run')} of {env}, by the verdict of the suite, then by the score "
        f"on validation: {verdict}{score}"
    )


def latest_resumable(outputs: Path) -> Run:
    """The newest run that was interrupted, killed or stopped at its budget, and that no process trains now.

    Raises:
        InputError: there is none.
    """
    for entry in list_runs(outputs).entries:
        directory = outputs / entry.path
        if entry.status not in _RESUMABLE:
            continue
        try:
            run = read_run(directory)
            with lock(directory):
                if run.info["status"] in _RESUMABLE:
                    return run
        except InputError:  # a process trains it, or it cannot be read
            continue
    raise InputError(f"no run in {outputs} can be resumed: all are finished, failed or being trained")


def _first(
    outputs: Path, env: str, fits: Callable[[Run], bool], order: Callable[[list[Entry]], Iterable[Entry]]
) -> tuple[Run, int]:
    """The first run in an order that fits, and how many finished runs of the environment there are."""
    for trust_index in (True, False):
        listing = list_runs(outputs, trust_index=trust_index)
        entries = [entry for entry in listing.entries if entry.status == "finished" and entry.env == env]
        for entry in order(entries):
            directory = outputs / entry.path
            if read_entry(directory, entry.path) != entry:  # the index holds something else: make it again
                break
            run = read_run(directory)
            if run.finished and fits(run):
                return run, len(entries)
        else:
            break
    raise InputError(f"no finished run in {outputs} is of {env}: train one, or name a run or a policy")


def _best_first(entries: Sequence[Entry], suite: str) -> list[Entry]:
    if not entries:
        return []
    metric = entries[0].metric
    alike = [entry for entry in entries if entry.metric == metric]
    others = [entry for entry in entries if entry.metric != metric]
    try:
        higher = metric is None or lookup(metric).better != "lower"
    except InputError:  # of a plugin that is not imported here
        higher = True
    return [*ranked(alike, suite, higher=higher), *ranked(others, suite)]
