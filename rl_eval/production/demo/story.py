"""The page of the demo: what happened, chapter by chapter, and then what the status page shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from rl_eval.production.demo.demo import Story
from rl_eval.production.demo.simulation import Journal
from rl_eval.production.parts import Parts
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import read_figures
from rl_eval.report import charts, html_page

BIN_H = 2.0  # hours of a mean
LEAST = 30  # decisions of a mean


def write_story(path: Path, story: Story, parts: Parts) -> Path:
    """Write the page.

    Args:
        parts: on the demo's clock.

    Raises:
        InputError: it cannot be written.
    """
    config, figures = parts.config, read_figures(parts, parts.clock())
    figures.alive = {}  # its processes have ended, as they should
    html = pages.render(
        "demo.html",
        title="Learning in production: the demo",
        story=story,
        hours=story.chapters[-1].ends,
        rewards=_rewards_chart(story.journal, [row["version"] for row in figures.improvement]),
        step=config.rollout.step.min,
        **pages.status_values(figures, config.rollout.steps, config.rollout.shadow),
    )
    html_page.write(path, html)
    return path


def _rewards_chart(journal: Journal, champions: Sequence[int]) -> Markup:
    """Mean reward over time, a line for each version that has become the champion."""
    hours, versions, rewards = np.array(journal.hours), np.array(journal.versions), np.array(journal.rewards)
    bins = np.arange(0.0, hours.max() + BIN_H, BIN_H)
    series, means = [], []
    for colour, version in enumerate(champions, 1):
        own = versions == version
        count = np.histogram(hours[own], bins)[0]
        total = np.histogram(hours[own], bins, weights=rewards[own])[0]
        squares = np.histogram(hours[own], bins, weights=rewards[own] ** 2)[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(count >= LEAST, total / count, np.nan)
            half = 1.96 * np.sqrt(np.maximum(squares / count - mean**2, 0.0) / count)
        name = f"version {version}"
        series.append(charts.Series(name, bins[:-1] + BIN_H / 2, mean, mean - half, mean + half, colour=colour))
        means.append(f"{name} {rewards[own].mean():.3f}")
    description = f"Mean reward of each champion over time; over all its decisions: {', '.join(means)}"
    drawn = charts.curves(series, description, x_label="hours", y_range=(0.0, 0.0))
    return charts.legend([(one.label, one.colour) for one in series]) + drawn
