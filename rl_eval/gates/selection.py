"""Which training runs a suite judges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_eval.checkout import is_checkout
from rl_eval.domains import identity
from rl_eval.errors import InputError
from rl_eval.formatting import quantity
from rl_eval.gates.repeats import differing_settings, group_key, not_a_group, started
from rl_eval.gates.selection_reasons import expected_instead, why_newest
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import PLACE, needs_data, place_of, trained_on
from rl_eval.gates.suite_files import matches_environment
from rl_eval.gates.training_commands import train_command
from rl_eval.gates.validation_ranking import best_on_validation
from rl_eval.policy import canonical, names_policy, not_a_policy
from rl_eval.run import Run, environment_of, find_runs, is_sweep, read_run, resume_command, sweep_jobs


@dataclass(frozen=True)
class BarePolicy:
    """A policy that a person named: nothing is known about its training.

    Attributes:
        path: what names it, such as `onnx:policy.onnx`, instead of a run directory.
    """

    path: str


@dataclass(frozen=True)
class PlayedEpisodes(BarePolicy):
    """What a policy did elsewhere: `episodes:<file>`."""

    @property
    def file(self) -> str:
        """The file."""
        return self.path.partition(":")[2]


@dataclass(frozen=True)
class Selection:
    """The runs of one suite, the newest last, or policies without a run.

    Attributes:
        too_few: why criteria over several runs cannot be decided; None if they can.
        passed_over: one sentence for each run that cannot be read, and so was not considered.
        reasons: why these runs were taken where nobody named them, and what else one would expect to be judged.
    """

    runs: tuple[Run | BarePolicy, ...]
    too_few: str | None = None
    passed_over: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class NoRunError(InputError):
    """No finished run is one that a suite judges.

    Attributes:
        command: trains what it judges; None outside of a checkout.
        passed_over: one sentence for each run that cannot be read.
    """

    def __init__(self, message: str, command: str | None, passed_over: Sequence[str]) -> None:
        super().__init__(message)
        self.command, self.passed_over = command, tuple(passed_over)


def named_runs(suite: Suite, paths: Sequence[Path | str]) -> Selection:
    """The runs and policies that a person named, each once however it is spelled; a sweep means all of its runs.

    Raises:
        InputError: not a run, not finished, or of another environment.
    """
    by_place: dict[str, Run | BarePolicy] = {}
    for judged in (judged for path in paths for judged in _expand(path)):
        by_place.setdefault(_place(judged), judged)
    judged_items = list(by_place.values())
    runs = [judged for judged in judged_items if isinstance(judged, Run)]
    for run in runs:
        if not run.finished:
            raise InputError(_unfinished(run))
        if not matches_environment(suite, run.config["env"]):
            raise InputError(_other_environment(suite, run))
    played = [judged for judged in judged_items if isinstance(judged, PlayedEpisodes)]
    if played and len(played) < len(judged_items):
        raise InputError(f"{played[0].path} was played elsewhere: judge it without policies that must still play")
    bare = next((judged for judged in judged_items if isinstance(judged, BarePolicy)), None)
    if bare is not None:
        return Selection(
            tuple(judged_items), f"{bare.path} is a policy without a training run: name only runs with --rl-run"
        )
    return Selection(tuple(judged_items), not_a_group(suite, runs))


def _place(judged: Run | BarePolicy) -> str:
    """The same for one run or policy under several names."""
    return str(judged.path.resolve()) if isinstance(judged, Run) else canonical(judged.path)


def _expand(name: Path | str) -> Sequence[Run | BarePolicy]:
    if isinstance(name, str) and names_policy(name):
        return [(PlayedEpisodes if name.startswith("episodes:") else BarePolicy)(name)]
    path = Path(name)
    if not path.is_dir():
        raise not_a_policy(str(name))
    if not is_sweep(path):
        return [read_run(path)]
    jobs = sweep_jobs(path)
    missing = next((job for job in jobs if not job.is_dir()), None)
    if missing is not None:
        raise InputError(f"{missing}, a run of the sweep {path}, is missing: start the sweep again")
    return [read_run(job) for job in jobs]


def newest_group(suite: Suite, outputs: Path) -> Selection:
    """The newest complete group of equal config except for the seed; where none is complete, the newest.

    Of a sweep with several such groups, the best on validation is taken; a verdict on the test set is never read.

    Raises:
        InputError: there is no finished run, or one of the group's crashed or is unfinished.
    """
    runs, passed_over = find_runs(outputs)
    matching = _trained_on_suite_data(suite, _matching(suite, runs))
    groups: dict[str, list[Run]] = {}
    for run in matching:
        groups.setdefault(group_key(suite, run), []).append(run)
    members_of = {key: _members(suite, members) for key, members in groups.items()}
    candidates = [key for key, members in members_of.items() if members]
    if not candidates:
        if matching:
            raise InputError(_unfinished(matching[-1]) + _also(passed_over))
        raise _no_run(suite, outputs, passed_over)
    complete = [key for key in candidates if len(members_of[key]) == suite.spec.runs.count]
    newest = max(complete or candidates, key=lambda key: started(members_of[key][-1]))
    members, reason = _best_of_sweep(suite, members_of[newest], matching)
    _refuse_incomplete(members, groups[group_key(suite, members[0])])
    reasons = (
        reason or why_newest(suite, matching, len(complete), len(members)),
        *expected_instead(suite, members, matching, runs),
    )
    return Selection(tuple(members), not_a_group(suite, members), tuple(passed_over), reasons)


def candidates_of_sweep(suite: Suite, jobs: Sequence[Run]) -> list[list[Run]]:
    """What a suite may judge of the jobs of one sweep: each that finished, or each group of several.

    Where a group is complete, only complete ones.
    """
    count = suite.spec.runs.count
    if count == 1:
        return [[run] for run in jobs if run.finished]
    groups: dict[str, list[Run]] = {}
    for run in jobs:
        groups.setdefault(group_key(suite, run), []).append(run)
    candidates = [members for group in groups.values() if (members := _members(suite, group))]
    return [members for members in candidates if len(members) == count] or candidates


def _best_of_sweep(suite: Suite, newest: list[Run], matching: Iterable[Run]) -> tuple[list[Run], str | None]:
    """The best candidate of the sweep of the newest runs, and why; the newest where there is no choice."""
    sweep = newest[0].path.parent
    if any(run.path.parent != sweep for run in newest) or not is_sweep(sweep):
        return newest, None
    jobs = [run for run in matching if run.path.parent == sweep]
    candidates = candidates_of_sweep(suite, jobs)
    if len(candidates) < 2:
        return newest, None
    count = suite.spec.runs.count
    kind = f"groups of {count} runs" if len(candidates[0]) == count else f"groups, none with {count} runs"
    what = f"{len(candidates)} {'finished jobs' if count == 1 else kind}"
    if unfinished := sum(not run.finished for run in jobs):
        what += f" ({quantity(unfinished, 'job')} did not finish)"
    best = best_on_validation(candidates)
    if best is None:
        return newest, f"the newest of the {what}, of {sweep}; their validation scores cannot be compared"
    return candidates[best.index], f"the best on validation ({best}) of the {what}, of {sweep}"


def _trained_on_suite_data(suite: Suite, runs: Sequence[Run]) -> list[Run]:
    """Those trained on the data that the suite names; all of them where it names none.

    Raises:
        InputError: all of them were trained on other data.
    """
    if not runs or needs_data(suite.env):
        return list(runs)
    own = [run for run in runs if trained_on(suite.env, run)]
    if not own:
        newest = max(runs, key=started)
        place = getattr(suite.env, PLACE, None)
        raise InputError(
            f"{newest.path}{place_of(newest)}, the newest run that matches {suite.label}, was trained on other data "
            f"than the suite's{f', {place}' if place else ''}: train with `{train_command(suite)}`, or name the run "
            "with --rl-run to judge it on this data anyway"
        )
    return own


def _also(passed_over: Sequence[str]) -> str:
    """What was passed over, to be added to a sentence."""
    more = f" and {len(passed_over) - 1} more" if len(passed_over) > 1 else ""
    return f" (passed over: {passed_over[0]}{more})" if passed_over else ""


def _matching(suite: Suite, runs: Iterable[Run]) -> list[Run]:
    """The runs that the suite judges.

    Raises:
        InputError: `train:` has a key that no run of the environment records.
    """
    matching, errors, recorded = [], [], False
    for run in runs:
        if not matches_environment(suite, run.config["env"]):
            continue
        try:
            matching += [] if differing_settings(suite, run) else [run]
            recorded = True
        except InputError as error:  # another run may record it
            errors.append(error)
    if errors and not recorded:
        raise errors[-1]
    return matching


def _members(suite: Suite, group: Iterable[Run]) -> list[Run]:
    """The newest `count` finished runs of a group, one per seed where seeds must differ, the newest last."""
    finished = [run for run in group if run.finished]
    if not suite.spec.runs.same_seed:
        finished = list({run.config.get("seed"): run for run in sorted(finished, key=started)}.values())
    return sorted(finished, key=started)[-suite.spec.runs.count :]


def _refuse_incomplete(members: Sequence[Run], group: Sequence[Run]) -> None:
    """Refuse a group with a crashed run: judging only the runs that finished would be too favourable."""
    first = started(members[0])
    for run in group:
        seed = run.config.get("seed")
        # a single run has no others to be chosen from, except a newer attempt at itself
        other = len(members) == 1 and seed != members[0].config.get("seed")
        if run.finished or started(run) < first or other:
            continue
        newer = [r for r in group if r.finished and r.config.get("seed") == seed and started(r) > started(run)]
        if not newer:
            raise InputError(_unfinished(run) + ", or name the finished runs to judge with --rl-run")


def _unfinished(run: Run) -> str:
    status = run.info["status"]
    what = {
        "failed": "failed",
        "interrupted": "was interrupted",
        "over_budget": "stopped at its budget",
        "running": "is still running, or was killed",
    }[status]
    reason = run.info.get("reason")
    return (
        f"the run {run.path} (seed {run.config.get('seed')}) {what}{f' ({reason})' if reason else ''}, so its group "
        f"is not complete: finish it with `{resume_command(run.path)}`, remove it and train again"
    )


def _no_run(suite: Suite, outputs: Path, passed_over: Sequence[str]) -> NoRunError:
    if not is_checkout(Path.cwd()):
        reason = f"no finished run in {outputs} fits this suite: name a policy or a run with --rl-run"
        return NoRunError(f"{reason}{_also(passed_over)}", None, passed_over)
    command = train_command(suite)
    return NoRunError(
        f"no finished run in {outputs} fits {suite.label}: train with `{command}`, or name a run or a policy with "
        f"--rl-run{_also(passed_over)}",
        command,
        passed_over,
    )


def _other_environment(suite: Suite, run: Run) -> str:
    trained, judged = identity(environment_of(run)), identity(suite.env)
    if trained["name"] != judged["name"]:
        return (
            f"{run.path} is a run of {trained['name']}, but {suite.label} judges {judged['name']}: name a run of that "
            "environment"
        )
    key = next(key for key in judged if trained.get(key) != judged[key])
    return (
        f"{run.path} was trained with env.{key}={trained.get(key)!r}, but {suite.label} judges {judged[key]!r}: "
        f"put `{key}:` with the run's value under the suite's `env`, or name a run of the same environment"
    )
