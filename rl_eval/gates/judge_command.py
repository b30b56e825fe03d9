"""The pytest commands that judge runs or policies, on the test set, by the suites of their environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.gates.selection import candidates_of_sweep
from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_files import suites_for
from rl_eval.gates.validation_ranking import best_on_validation
from rl_eval.override_text import shell_word
from rl_eval.run import Run, is_sweep, sweep_jobs


def judge_command(config: Mapping[str, Any], judged: Path | str, folder: Path | str = "suites") -> str:
    """The command as one types it; where no suite is known, `suites/<file>.yaml` and the reason.

    Args:
        config: the config of the run.
        judged: what `--rl-run` gets.
        folder: where the suites are.
    """
    options = f"--rl-run {shell_word(judged)}"
    unknown = f"`pytest suites/<file>.yaml {options}`"
    try:
        suites = suites_for(config, folder)
    except (InputError, KeyError, TypeError, AttributeError):  # a broken suite or config
        return unknown
    if not suites:
        return f"{unknown}when there is a suite for env={brief(str(config['env'].get('name')), 60)} and its data"
    return f"`pytest {' '.join(shell_word(suite.label) for suite in suites)} {options}`"


def judge_best_commands(jobs: Sequence[Run], folder: Path) -> list[str]:
    """Sentences with the commands that judge, on the test set, what is the best of a sweep on validation.

    A suite over several runs gets the best complete group, where the sweep has one, and any other suite the best job.

    Args:
        jobs: those that finished.
        folder: where the suites are.
    """
    suites_of: dict[tuple[str, str], list[str]] = {}
    for suite, own in _jobs_by_suite(jobs, folder):
        candidates = candidates_of_sweep(suite, own)
        if len(candidates[0]) < suite.spec.runs.count:  # no group can be judged: the best job can
            candidates = [[run] for run in own]
        best = best_on_validation(candidates)
        if best is None:
            continue
        members = candidates[best.index]
        sweep = members[0].path.parent
        whole = is_sweep(sweep) and {run.path for run in members} == set(sweep_jobs(sweep))
        paths = [sweep] if whole else [run.path for run in members]
        what = (
            members[0].path.name if len(members) == 1 else (f"{len(members)} jobs, the first is {members[0].path.name}")
        )
        options = " ".join(f"--rl-run {shell_word(path)}" for path in paths)
        head = f"best on validation: {what} ({best}); judge it" if len(candidates) > 1 else "judge the sweep"
        suites_of.setdefault((head, options), []).append(shell_word(suite.label))
    return [
        f"{head} on the test set with `pytest {' '.join(labels)} {options}`"
        for (head, options), labels in suites_of.items()
    ]


def _jobs_by_suite(jobs: Sequence[Run], folder: Path) -> list[tuple[Suite, list[Run]]]:
    """Each suite that judges some of the jobs, with these."""
    found: dict[Path, tuple[Suite, list[Run]]] = {}
    for run in jobs:
        try:
            suites = suites_for(run, folder)
        except InputError:  # a broken suite, which training has reported
            continue
        for suite in suites:
            found.setdefault(suite.path, (suite, []))[1].append(run)
    return list(found.values())
