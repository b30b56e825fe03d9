"""From a criterion to its episodes: the worst ones by seed, with a film where there is one and a command to paste."""

from __future__ import annotations

from rl_eval.gates.verdict_file import read_suite_verdicts
from rl_eval.gates.worst_episodes import replay_command
from rl_eval.report import charts, criterion_rows, verdicts
from rl_eval.report.animation import film_file
from rl_eval.report.html_page import number
from rl_eval.run_index import Entry
from rl_eval.view.rendering import render
from rl_eval.view.runs import Runs, run_id

MAX_EPISODES = 20


def page(runs: Runs, entry: Entry, suite_number: int, criterion_number: int) -> str | None:
    """The page; None if the verdict has no such criterion.

    Raises:
        InputError: the verdict cannot be read.
    """
    directory = runs.directory(entry)
    suites = read_suite_verdicts(directory)
    if not 0 <= suite_number < len(suites) or not 0 <= criterion_number < len(suites[suite_number].criteria):
        return None
    suite = suites[suite_number]
    criterion = suite.criteria[criterion_number]
    episodes = []
    for seed, value in criterion.worst[:MAX_EPISODES]:
        film = film_file(directory, suite.part, seed)
        episodes.append(
            {
                "seed": seed,
                "value": number(value, 4, criterion.threshold),
                "command": replay_command(directory, seed, suite.file),
                "film": f"/run/{run_id(entry.path)}/film/{suite.part}/{seed}" if film.is_file() else None,
            }
        )
    evidence = [one for one in verdicts.evidence(suite) if one.verdict is criterion]
    return render(
        "criterion.html",
        title=f"{criterion.criterion} of {suite.suite}",
        here="/",
        entry=entry,
        suite=suite,
        criterion=criterion,
        drawing=criterion_rows.drawing(criterion),
        legend=charts.legend([("for PASS", 1), ("for FAIL", 2)]),
        evidence=evidence[0] if evidence else None,
        episodes=episodes,
    )
