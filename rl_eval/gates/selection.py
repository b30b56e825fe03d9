"""Which training runs a suite judges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rl_eval.domains import domain, identity, validate
from rl_eval.errors import InputError, nearest
from rl_eval.gates.suite import Suite, is_for_other_environment, load_suite
from rl_eval.gates.suite_data import PLACE, needs_data, place_of, trained_on
from rl_eval.gates.training_commands import train_command
from rl_eval.gates.yaml_document import MAX_BYTES
from rl_eval.policy import names_policy, not_a_policy
from rl_eval.run import Run, environment_of, find_runs, is_sweep, read_run, resume_command, sweep_jobs
from rl_eval.untrusted_files import only_regular

# Parts of a run's config that change neither what it learns nor how.
_INCIDENTAL = ("name", "resume", "tracker")


@dataclass(frozen=True)
class BarePolicy:
    """A policy that a person named: nothing is known about its training.

    Attributes:
        path: what names it, such as `onnx:policy.onnx`, instead of a run directory.
    """

    path: str


@dataclass(frozen=True)
class Selection:
    """The runs of one suite, the newest last, or policies without a run.

    Attributes:
        too_few: why criteria over several runs cannot be decided; None where they can.
        passed_over: one sentence for each run that cannot be read, and so was not considered.
    """

    runs: tuple[Run | BarePolicy, ...]
    too_few: str | None = None
    passed_over: tuple[str, ...] = ()


def matches_environment(suite: Suite, values: Mapping[str, Any]) -> bool:
    """Whether an `env:` section describes the environment of a suite, wherever its data lies."""
    try:
        return identity(validate(values)) == identity(suite.env)
    except (ValidationError, InputError):
        return False


def suites_for(run: Run | Mapping[str, Any], folder: Path | str = "suites") -> list[Suite]:
    """The suites in a folder whose environment is that of a run, by name.

    If one of them names the run's agent in `train:`, those that name another agent are skipped. If none does, all of
    them judge: an agent without a suite of its own must pass those of the others.

    Args:
        run: a run, or the config of one that is yet to be trained.

    Raises:
        InputError: a suite is broken, or names plugins that the run does not.
    """
    config = run.config if isinstance(run, Run) else run
    files = [(path, _relative_to_cwd(path)) for path in sorted(Path(folder).glob("*.y*ml")) if is_suite_file(path)]
    name = str(config["env"].get("name"))
    suites = [load_suite(path, label) for path, label in files if not is_for_other_environment(path, label, name)]
    matching = [suite for suite in suites if matches_environment(suite, config["env"])]
    agent = config["agent"]["name"]
    if any(suite.spec.train.get("agent") == agent for suite in matching):
        matching = [suite for suite in matching if suite.spec.train.get("agent", agent) == agent]
    return matching


def _relative_to_cwd(path: Path) -> str:
    """A path as a person in the current directory would type it."""
    cwd, path = Path.cwd(), path.resolve()
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def is_suite_file(path: Path) -> bool:
    """Whether a YAML file has `rl_eval:` at its top level, without parsing it."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=only_regular) as file:
            lines = file.read(MAX_BYTES).splitlines()
    except OSError:
        return False
    return any(line.startswith(("rl_eval:", "rl_eval :", '"rl_eval"', "'rl_eval'")) for line in lines)


def named_runs(suite: Suite, paths: Sequence[Path | str]) -> Selection:
    """The runs and policies that a person named; a sweep means all of its runs.

    Raises:
        InputError: not a run, not finished, or of another environment.
    """
    judged_items = [judged for path in paths for judged in _expand(path)]
    runs = [judged for judged in judged_items if isinstance(judged, Run)]
    for run in runs:
        if not run.finished:
            raise InputError(_unfinished(run))
        if not matches_environment(suite, run.config["env"]):
            raise InputError(_other_environment(suite, run))
    bare = next((judged for judged in judged_items if isinstance(judged, BarePolicy)), None)
    if bare is not None:
        return Selection(
            tuple(judged_items), f"{bare.path} is a policy without a training run: name runs alone with --rl-run"
        )
    return Selection(tuple(judged_items), _not_a_group(suite, runs))


def _expand(name: Path | str) -> Sequence[Run | BarePolicy]:
    if isinstance(name, str) and names_policy(name):
        return [BarePolicy(name)]
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
    """The newest complete group of equal config but for the seed; where none is complete, the newest.

    Raises:
        InputError: there is no finished run, or one of the group's crashed or is unfinished.
    """
    runs, passed_over = find_runs(outputs)
    matching = _trained_on_suite_data(suite, _matching(suite, runs))
    groups: dict[str, list[Run]] = {}
    for run in matching:
        groups.setdefault(_group_key(suite, run), []).append(run)
    members_of = {key: _members(suite, members) for key, members in groups.items()}
    candidates = [key for key, members in members_of.items() if members]
    if not candidates:
        raise InputError(_no_run(suite, matching, outputs) + _also(passed_over))
    complete = [key for key in candidates if len(members_of[key]) == suite.spec.runs.count]
    best = max(complete or candidates, key=lambda key: _started(members_of[key][-1]))
    _refuse_incomplete(members_of[best], groups[best])
    return Selection(tuple(members_of[best]), _not_a_group(suite, members_of[best]), tuple(passed_over))


def _trained_on_suite_data(suite: Suite, runs: Sequence[Run]) -> list[Run]:
    """Those trained on the data that the suite names; all of them where it names none.

    Raises:
        InputError: all of them were trained on other data.
    """
    if not runs or needs_data(suite.env):
        return list(runs)
    own = [run for run in runs if trained_on(suite.env, run)]
    if not own:
        newest = max(runs, key=_started)
        place = getattr(suite.env, PLACE, None)
        raise InputError(
            f"{newest.path}{place_of(newest)}, the newest run that matches {suite.label}, was trained on other data "
            f"than the suite's{f', {place}' if place else ''}: train with `{train_command(suite)}`, or name the run "
            "with --rl-run to judge it on this data all the same"
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


def differing_settings(suite: Suite, run: Run) -> dict[str, Any]:
    """The keys of `train:` that a run has other values for, and these; where its data lay does not count.

    Raises:
        InputError: the run does not record a key.
    """
    suite_domain = domain(suite.env.name)
    incidental = {f"env.{key}" for key in (*suite_domain.location_keys, *suite_domain.execution_keys)}
    settings = {key: value for key, value in suite.spec.train.items() if key not in incidental}
    own = {key: _setting(suite, run.config, key) for key in settings}
    return {key: value for key, value in own.items() if value != settings[key]}


def _setting(suite: Suite, config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key in a run's config; of a group such as `agent`, its name."""
    value: Any = config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            keys = [str(name) for name in config]
            raise InputError(
                f"{suite.label}: train.{key} is not recorded by runs, so it cannot select them: "
                f"{nearest(key, keys)}name a key of their config ({', '.join(keys)}), dotted"
            )
        value = value[part]
    if isinstance(value, Mapping):
        if "name" not in value:
            raise InputError(
                f"{suite.label}: train.{key} is a group whose choice runs do not record: name the keys it sets, dotted"
            )
        return value["name"]
    return value


def _group_key(suite: Suite, run: Run) -> str:
    return json.dumps(_comparable(run, with_seed=suite.spec.runs.same_seed), sort_keys=True, default=str)


def _comparable(run: Run, *, with_seed: bool) -> dict[str, Any]:
    """The settings that must be equal for two runs to count as repeats."""
    ignored = _INCIDENTAL if with_seed else (*_INCIDENTAL, "seed")
    config = {key: value for key, value in run.config.items() if key not in ignored}
    # Another back end draws other start states.
    return {**config, "env": identity(environment_of(run)), "backend": run.info.get("backend")}


def _started(run: Run) -> str:
    return str(run.info.get("started", ""))


def _members(suite: Suite, group: Iterable[Run]) -> list[Run]:
    """The newest `count` finished runs of a group, one a seed where seeds are to differ, the newest last."""
    finished = [run for run in group if run.finished]
    if not suite.spec.runs.same_seed:
        finished = list({run.config.get("seed"): run for run in sorted(finished, key=_started)}.values())
    return sorted(finished, key=_started)[-suite.spec.runs.count :]


def _refuse_incomplete(members: Sequence[Run], group: Sequence[Run]) -> None:
    """Refuse a group with a crashed run: judging only the runs that finished would be too favourable."""
    first = _started(members[0])
    for run in group:
        seed = run.config.get("seed")
        # a single run has no others to be chosen from, except a newer attempt at itself
        other = len(members) == 1 and seed != members[0].config.get("seed")
        if run.finished or _started(run) < first or other:
            continue
        newer = [r for r in group if r.finished and r.config.get("seed") == seed and _started(r) > _started(run)]
        if not newer:
            raise InputError(_unfinished(run) + ", or name with --rl-run the finished ones that are to be judged")


def _unfinished(run: Run) -> str:
    status = run.info["status"]
    what = {
        "failed": "failed",
        "interrupted": "was interrupted",
        "running": "is still running, or was killed",
    }[status]
    reason = run.info.get("reason")
    return (
        f"the run {run.path} (seed {run.config.get('seed')}) {what}{f' ({reason})' if reason else ''}, so its group "
        f"is not complete: finish it with `{resume_command(run.path)}`, remove it and train again"
    )


def _no_run(suite: Suite, matching: Sequence[Run], outputs: Path) -> str:
    if matching:
        return _unfinished(matching[-1])
    return (
        f"no finished run below {outputs} is one that {suite.label} judges: train with `{train_command(suite)}`, "
        "or name a run or a policy with --rl-run"
    )


def _not_a_group(suite: Suite, runs: Sequence[Run]) -> str | None:
    """Why the runs cannot show the spread of training, or None where they can."""
    required = suite.spec.runs
    if required.count == 1:
        return None
    if len(runs) < required.count:
        return f"it needs {required.count} finished runs and there are {len(runs)}: train with `{train_command(suite)}`"
    configs = [_comparable(run, with_seed=False) for run in runs]
    for run, config in zip(runs, configs, strict=True):
        if config != configs[0]:
            differing = sorted(key for key in {*config, *configs[0]} if config.get(key) != configs[0].get(key))
            return (
                f"{run.path} differs from {runs[0].path} in {', '.join(differing)}: "
                "name runs that differ only in their seed"
            )
    seeds = [run.config.get("seed") for run in runs]
    if required.same_seed and len(set(seeds)) > 1:
        return f"the runs have the seeds {', '.join(str(seed) for seed in seeds)}: name runs of one seed"
    if not required.same_seed and len(set(seeds)) < len(seeds):
        return f"the runs have the seeds {', '.join(str(seed) for seed in seeds)}: name runs of different seeds"
    return None


def _other_environment(suite: Suite, run: Run) -> str:
    trained, judged = identity(environment_of(run)), identity(suite.env)
    if trained["name"] != judged["name"]:
        return (
            f"{run.path} is a run of {trained['name']}, but {suite.label} judges {judged['name']}: name a run of that"
        )
    key = next(key for key in judged if trained.get(key) != judged[key])
    return (
        f"{run.path} was trained with env.{key}={trained.get(key)!r}, but {suite.label} judges {judged[key]!r}: "
        "name a run of the same environment"
    )
