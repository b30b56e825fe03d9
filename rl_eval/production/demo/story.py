"""The page of the demo: what happened, chapter by chapter, and then what the status page shows."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from markupsafe import Markup

from rl_eval.production.demo.demo import Chapter, Story
from rl_eval.production.parts import Parts
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import read_figures
from rl_eval.report import charts, html_page

WINDOW = 300  # decisions of a mean


def write_story(path: Path, story: Story, parts: Parts) -> Path:
    """Write the page.

    Raises:
        InputError: it cannot be written.
    """
    figures = read_figures(parts, time.time())
    config = parts.config
    settings = [
        ("least time of a step", html_page.duration(config.rollout.step.min), "24 h"),
        ("time until a decision counts", html_page.duration(config.rollout.reward_window), "1 h"),
        ("pause before drift trains again", html_page.duration(config.trigger.drift_pause), "1 h"),
    ]
    shown = pages.status_values(figures, config.rollout.steps)
    html = pages.render(
        "demo.html",
        title="Learning in production: the demo",
        story=story,
        chapters=[(chapter, _chart(chapter)) for chapter in story.chapters],
        settings=settings,
        **shown,
    )
    html_page.write(path, html)
    return path


def _chart(chapter: Chapter) -> Markup | None:
    rewards = chapter.rewards
    if len(rewards) < 2 * WINDOW:
        return None
    sums = np.cumsum(np.concatenate([[0.0], rewards]))
    at = np.arange(WINDOW, len(rewards) + 1, 16)
    means = (sums[at] - sums[at - WINDOW]) / WINDOW
    description = f"Mean reward of {WINDOW} decisions, from {means[0]:.3f} to {means[-1]:.3f}"
    return charts.curves([charts.Series("mean reward", at.astype(float), means)], description, x_label="decisions")
