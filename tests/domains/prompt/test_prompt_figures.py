"""Tables of the report: gains by task, shares of actions, and prompts that stay text on the page."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from rl_eval.domains.prompt import DOMAIN, Config, figures
from rl_eval.domains.prompt.environment.dataset import load_part
from rl_eval.report.figure import Cell, Figure
from rl_eval.report.html_page import environment
from rl_eval.rollout import play

CONFIG = Config()


@pytest.fixture(scope="module")
def prompts():
    """The validation part."""
    return load_part(CONFIG, "validation")


@pytest.fixture(scope="module")
def states(prompts):
    """The prompts of the validation part."""
    return prompts.states


@pytest.fixture(scope="module")
def episodes():
    """Greedy search on the validation part."""
    count = DOMAIN.episodes(CONFIG, "validation")
    envs = DOMAIN.make(CONFIG, n_envs=count, part="validation", autoreset=False)
    return play(envs, DOMAIN.baselines["greedy_reward_model"](CONFIG), seeds=range(count))


def test_the_gain_of_a_task_is_the_mean_over_its_starts_with_students_interval(episodes, prompts, states):
    figure = figures.gain_by_task({"this policy": episodes}, states, prompts.task)
    assert [row[0].text for row in figure.rows] == [task.name for task in states.tasks]
    ends = episodes.outcome["episode_end"]
    gains = episodes.per_episode("judge_gain")[episodes.outcome["task"][ends] == prompts.task[states.task == 1][0]]
    low, high = stats.t.interval(0.95, len(gains) - 1, gains.mean(), stats.sem(gains))
    cell = figure.rows[1][1]
    shown = [float(text.replace("−", "-")) for text in (cell.text, *cell.note.split(" to "))]
    np.testing.assert_allclose(shown, [gains.mean(), low, high], rtol=1e-3, atol=1e-4)


def test_shares_add_up_and_empty_groups_are_left_out(episodes):
    steps = len(episodes.episode)
    groups = {"all": np.ones(steps, bool), "none": np.zeros(steps, bool)}
    figure = figures.action_shares(episodes, DOMAIN.action_names(CONFIG), groups, "Actions")
    assert figure.header == ("Action", "all")
    assert sum(row[1].share for row in figure.rows) == pytest.approx(1.0)
    stops = float((episodes.outcome["action"] == 5).mean())
    assert figure.rows[5][1].share == pytest.approx(stops)


def test_prompts_stand_side_by_side_from_the_best_gain_to_the_worst(episodes, states):
    figure = figures.before_and_after(episodes, states)
    gains = [float(row[3].text.replace("−", "-")) for row in figure.rows]
    assert len(gains) == figures.SHOWN_PROMPTS
    assert gains == sorted(gains, reverse=True)
    before = {texts[0] for texts in states.texts}
    after = {text for texts in states.texts for text in texts}
    assert all(row[1].text in before and row[2].text in after for row in figure.rows)


def test_a_prompt_is_escaped_on_the_page_and_keeps_its_lines(episodes, states):
    hostile = replace(states, texts=(("<script>alert(1)</script>\nline two",) * 32,) * len(states))
    figure = figures.before_and_after(episodes, hostile)
    page = environment().from_string(
        "{% for cell in row %}{% if cell.is_block %}<pre>{{ cell.text|brief(4000) }}</pre>{% endif %}{% endfor %}"
    )
    shown = page.render(row=figure.rows[0])
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nline two" in shown


def test_a_very_long_prompt_is_cut():
    assert len(figures._shown("x" * 16_000)) <= figures.LONGEST_PROMPT + 2


def test_tables_of_long_texts_or_many_columns_take_the_width_of_the_page():
    narrow = Figure(title="t", caption="c", header=("a", "b"), rows=[[Cell("x"), Cell("1")]])
    assert not narrow.is_wide
    assert replace(narrow, rows=[[Cell("x"), Cell("1", is_block=True)]]).is_wide
    assert replace(narrow, header=("a", "b", "c", "d")).is_wide
