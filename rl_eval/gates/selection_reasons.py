"""Why runs were selected that nobody named, and what else one would expect to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rl_eval.errors import InputError
from rl_eval.formatting import brief, quantity
from rl_eval.gates.repeats import differing_settings, started
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import needs_data, trained_on
from rl_eval.gates.suite_files import matches_environment
from rl_eval.run import Run


def why_newest(suite: Suite, matching: Sequence[Run], complete: int, judged: int) -> str:
    """Why the newest run or group was taken.

    Args:
        complete: how many groups are complete.
        judged: how many runs were taken.
    """
    count, finished = suite.spec.runs.count, sum(run.finished for run in matching)
    if count == 1:
        return "the only run that fits" if finished == 1 else f"the newest of {finished} runs that fit"
    kind = "with one seed" if suite.spec.runs.same_seed else "that differ only in their seed"
    if not complete:
        return (
            f"{judged} of {count} runs {kind}, the newest, because no group is complete: criteria over runs are errors"
        )
    which = "the only complete group" if complete == 1 else f"the newest of {complete} complete groups"
    return f"{which} of {count} runs {kind}"


def expected_instead(
    suite: Suite, members: Sequence[Run], matching: Iterable[Run], runs: Sequence[Run]
) -> Iterator[str]:
    """What is newer and does not fit, and what fits and was trained for longer."""
    for run in reversed(runs):
        if started(run) <= started(members[-1]):
            break
        if run.finished and (why := _why_unfit(suite, run)) is not None:
            yield f"{run.path} is newer, but does not fit: {why}"
            break
    agent, own = _agent(members[0]), max(map(_total_steps, members))
    longer = [run for run in matching if run.finished and _agent(run) == agent and _total_steps(run) > own]
    if longer:
        longest = max(longer, key=_total_steps)
        yield (
            f"{longest.path} was trained for longer ({quantity(_total_steps(longest), 'step')} instead of {own:,}): "
            "name it with --rl-run to judge it"
        )


def _why_unfit(suite: Suite, run: Run) -> str | None:
    """Why a suite does not take a run of its environment and agent by itself; None for any other run."""
    try:
        if not matches_environment(suite, run.config["env"]):
            return None
        different = differing_settings(suite, run)
        if "agent" in different:
            return None
        if not different:
            return None if needs_data(suite.env) or trained_on(suite.env, run) else "it was trained on other data"
    except InputError:  # it does not record a key
        return None
    return ", ".join(f"{key} is {brief(repr(own))}, not {suite.spec.train[key]!r}" for key, own in different.items())


def _agent(run: Run) -> object:
    agent = run.config.get("agent")
    return agent.get("name") if isinstance(agent, dict) else agent


def _total_steps(run: Run) -> int:
    """The budget of a run in env steps; 0 if it is not known."""
    steps = run.config.get("total_steps")
    return steps if isinstance(steps, int) and not isinstance(steps, bool) else 0
