"""The curve of failures found: its area is APFD, and it shows the order that gates judge."""

import numpy as np
import pytest

from rl_eval import domains, metrics
from rl_eval.domains.qase import figures
from rl_eval.domains.qase.environment.features import FEATURES
from rl_eval.judged_policy import LimitedPolicy
from rl_eval.report.behaviour import Behaviour
from rl_eval.rollout import play

SMALL = domains.validate({"name": "qase", "cycles": 120})


class RanksByProbability:
    """Orders by a probability, though the most likely level is the same for all."""

    def probabilities(self, obs):
        high = 0.4 * obs[:, FEATURES.index("failure_rate")]
        return np.stack([1 - high, *[np.zeros(len(obs))] * 6, high], axis=1)

    def act(self, obs, greedy):
        return np.zeros(len(obs), int)


def played(policy):
    count = domains.domain(SMALL.name).episodes(SMALL, "validation")
    vector = domains.make(SMALL, n_envs=count, part="validation", autoreset=False)
    return play(vector, policy, seeds=range(count))


@pytest.mark.parametrize("name", ["failure_rate", "optimal", "as_listed"])
def test_its_area_is_apfd(name):
    episodes = played(domains.domain("qase").baselines[name](SMALL))
    curve = figures.found_by_share(episodes)
    assert (curve[0], curve[-1]) == (0, pytest.approx(1))
    assert (np.diff(curve) >= -1e-12).all()
    assert np.trapezoid(curve, figures.GRID) == pytest.approx(metrics.compute("apfd", episodes, SMALL), abs=0.005)


def test_equal_scores_are_a_straight_line():
    episodes = played(domains.domain("qase").baselines["random"](SMALL))
    episodes.outcome["score"][:] = 1.0
    np.testing.assert_allclose(figures.found_by_share(episodes), figures.GRID, atol=1e-12)


def test_a_page_plays_the_policy_by_its_probabilities_as_a_gate_does():
    bounded, plain = played(LimitedPolicy(RanksByProbability(), 10_000)), played(RanksByProbability())
    np.testing.assert_array_equal(bounded.outcome["score"], plain.outcome["score"])
    assert len(np.unique(bounded.outcome["score"])) > 8


def test_the_figure_has_a_description():
    orders = {name: played(domains.domain("qase").baselines[name](SMALL)) for name in ("failure_rate", "optimal")}
    behaviour = Behaviour(
        SMALL, orders["failure_rate"], "validation", RanksByProbability(), 1, {"optimal": orders["optimal"]}
    )
    (result,) = figures.figures(behaviour)
    assert "APFD: this policy 0." in result.caption
    assert "optimal" in result.legend
    assert str(result.chart).startswith("<svg")
