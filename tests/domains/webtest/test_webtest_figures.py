"""Figures of the report: failures over actions, states visited, and tables beside the baselines."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rl_eval.domains.webtest import DOMAIN, Config, figures
from rl_eval.domains.webtest.baselines import ORDERS, FixedOrder, RandomPolicy
from rl_eval.domains.webtest.metrics import METRICS, actions_to_three_defects, defects_found, first_failures
from rl_eval.domains.webtest.rewards import TERMS
from rl_eval.report.behaviour import Behaviour
from rl_eval.rollout import play

CONFIG = Config(max_actions=25)


@pytest.fixture(scope="module")
def played():
    """Four builds by two policies."""
    policies = {"this policy": FixedOrder(ORDERS[1]), "random": RandomPolicy()}
    return {
        name: play(DOMAIN.make(CONFIG, n_envs=4, part="validation", autoreset=False), policy, seeds=range(4))
        for name, policy in policies.items()
    }


def test_running_means_end_at_the_mean_of_episodes(played):
    episodes = played["this policy"]
    found = figures.running_mean(episodes, "new_failures")
    assert len(found) == 26
    assert found[0] == 0.0
    assert found[-1] == pytest.approx(episodes.per_episode("new_failures").mean())
    assert (np.diff(found) >= 0).all()


def test_the_first_failure_is_counted_from_one_and_none_counts_one_more(played):
    episodes = played["this policy"]
    expected = []
    for index in range(len(episodes)):
        steps = np.flatnonzero(episodes.outcome["new_failures"][episodes.episode == index])
        expected.append(steps[0] + 1 if len(steps) else 26)
    assert first_failures(episodes).tolist() == expected


def test_actions_to_three_defects_are_at_most_all_of_an_episode():
    found = [[0, 2, 1, 5], [1, 1, 0, 0], [4, 0, 0, 0], [0, 0, 0, 3]]  # by episode and action
    lengths = np.array([len(row) for row in found])
    episodes = SimpleNamespace(
        lengths=lengths, episode=np.repeat(np.arange(4), lengths), outcome={"defects_found": np.concatenate(found)}
    )
    expected = [3, 25, 1, 4]  # the second one finds two
    assert actions_to_three_defects.variable(episodes, CONFIG).tolist() == expected
    assert actions_to_three_defects(episodes, CONFIG) == pytest.approx(np.mean(expected))
    assert actions_to_three_defects.bounds(CONFIG) == (0.0, 25.0)


def test_tables_have_every_metric_and_term_of_each_policy(played):
    table = figures.equal_budget(played, CONFIG)
    simulated = [metric.name.replace("_", " ") for metric in METRICS if metric.name != "branch_coverage"]
    assert [row[0].text for row in table.rows] == simulated
    assert float(table.rows[0][1].text) == pytest.approx(defects_found.compute(played["this policy"], CONFIG), abs=2e-3)
    terms = figures.reward_terms(played)
    assert [row[0].text for row in terms.rows] == list(TERMS)
    assert all(len(row) == 3 for row in terms.rows)


def test_shares_of_controls_are_of_all_actions(played):
    table = figures.controls_used(played)
    shares = np.array([[cell.share for cell in row[1:]] for row in table.rows])
    assert shares.sum(axis=0) == pytest.approx([1.0, 1.0])
    fills = played["random"].outcome["value_kind"] >= 0
    assert shares[[row[0].text for row in table.rows].index("fields"), 1] == pytest.approx(fills.mean())


def test_charts_name_each_policy(played):
    for figure in (figures.failures_over_actions(played), figures.states_over_actions(played)):
        assert "<svg" in figure.chart
        assert all(name in figure.legend for name in played)


def test_the_map_is_of_this_policy_alone(played):
    figure = figures.states_visited(played["this policy"])
    assert figure.chart.count('class="line') == 1
    assert not figure.legend


def test_where_no_defect_is_known_the_share_is_not_known(played):
    unknown = {name: replace(episodes, outcome={**episodes.outcome, "defects": 0 * episodes.outcome["defects"]})
               for name, episodes in played.items()}  # fmt: skip
    shares, *others = figures.equal_budget(unknown, CONFIG).rows
    assert [cell.text for cell in shares] == ["defects found", "not known", "not known"]
    assert not any(cell.text == "not known" for row in others for cell in row)


def test_a_team_is_shown_by_agent():
    config = Config(max_actions=30, testers=3)
    episodes = play(DOMAIN.make(config, n_envs=4, part="validation", autoreset=False), RandomPolicy(), seeds=range(4))
    table = figures.by_agent(episodes, config)
    assert [row[0].text.split(", ")[1] for row in table.rows] == ["generator", "executor", "analyst"]
    states = sum(float(row[1].text) for row in table.rows)
    assert states == pytest.approx(episodes.per_episode("new_state").mean(), abs=1e-2)
    shares = np.array([[cell.share for cell in row[4:]] for row in table.rows])
    assert shares.shape == (3, 4)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    fields = table.header.index("fields") - 4
    assert shares[0, fields] == 0 < shares[1, fields]
    alone = Behaviour(CONFIG, episodes, "report", RandomPolicy(), 4)
    assert len(figures.figures(replace(alone, config=config))) == len(figures.figures(alone)) + 1
