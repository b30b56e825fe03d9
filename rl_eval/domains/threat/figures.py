"""Report tables of triage: confusion matrix, actions, attack types."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.threat.config import ACTIONS, Config
from rl_eval.domains.threat.data import load_dataset
from rl_eval.metrics import Confusion, confusion
from rl_eval.report.behaviour import Behaviour
from rl_eval.report.figure import Cell, Figure
from rl_eval.report.html_page import count, number, percent
from rl_eval.rollout import Episodes

MOST_CATEGORIES = 40


def figures(behaviour: Behaviour) -> list[Figure]:
    """The confusion matrix, the actions by label, and the attack types that were missed most."""
    assert isinstance(behaviour.config, Config)
    categories = flagged_by_category(behaviour.episodes, load_dataset(behaviour.config).category_names)
    return [
        confusion_matrix(confusion(behaviour.episodes)),
        action_shares(behaviour.episodes),
        *([category_table(categories)] if categories else []),
    ]


def confusion_matrix(table: Confusion) -> Figure:
    """Flows by label and by whether they were flagged."""

    def row(name: str, right: tuple[int, str], wrong: tuple[int, str], total: int) -> list[Cell]:
        cells = [Cell(count(cases), f"{percent(_ratio(cases, total))} {what}") for cases, what in (right, wrong)]
        return [Cell(name), *cells, Cell(count(total))]

    precision, f1 = _ratio(table.tp, table.flagged), _ratio(2 * table.tp, table.positives + table.flagged)
    return Figure(
        title="Flagged and not",
        caption="Confusion matrix: cases, and their share of the row.",
        header=("Truth", "Flagged", "Let through", "Cases"),
        rows=[
            row("Threat", (table.tp, "caught"), (table.fn, "missed"), table.positives),
            row("Benign", (table.fp, "false alarms"), (table.tn, "spared"), table.negatives),
        ],
        remark=f"Of what it flags, {percent(precision)} is a threat (precision); F1 is {number(f1)}.",
    )


def action_shares(episodes: Episodes) -> Figure:
    """Share of each action among benign flows and among threats."""
    action, label = episodes.outcome["action"].astype(np.int64), episodes.outcome["label"]
    groups = {"Benign": action[label == 0], "Threat": action[label == 1]}
    shares = {
        name: np.bincount(actions, minlength=len(ACTIONS)) / len(actions)
        for name, actions in groups.items()
        if len(actions)
    }
    return Figure(
        title="Actions",
        caption="Share of each action by what the case is; greedy policy.",
        header=("Action", *shares),
        rows=[
            [Cell(name), *(Cell(share=float(values[index])) for values in shares.values())]
            for index, name in enumerate(ACTIONS)
        ],
        numeric=False,
    )


def flagged_by_category(episodes: Episodes, names: tuple[str, ...]) -> list[tuple[str, int, float]]:
    """Name, flows and flagged share of each attack type; the lowest share first."""
    threats = episodes.outcome["label"] == 1
    category, flagged = episodes.outcome["category"][threats], episodes.outcome["flagged"][threats]
    rows = []
    for index in np.unique(category):
        flags = flagged[category == index]
        rows.append((names[int(index)], len(flags), float(flags.mean())))
    return sorted(rows, key=lambda row: row[2])[:MOST_CATEGORIES]


def category_table(categories: list[tuple[str, int, float]]) -> Figure:
    """A table of the result of `flagged_by_category`."""
    return Figure(
        title="By category",
        caption="Threats by category, the least caught first.",
        header=("Category", "Cases", "Flagged"),
        rows=[[Cell(name), Cell(count(flows)), Cell(share=share)] for name, flows, share in categories],
    )


def _ratio(part: int, total: int) -> float:
    return part / total if total else float("nan")
