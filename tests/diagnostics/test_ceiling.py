"""The highest explained variance of any critic: by formula, by simulation, and from a run."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.advantage import gae
from rl_eval.diagnostics import _ceiling, _critic_ceiling
from rl_eval.diagnostics._ceiling import ceiling, critic_of, steps_are_independent
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.errors import InputError
from rl_eval.gates import load_suite
from rl_eval.metrics import MetricUndefined, lookup
from tests.diagnostics.faulty import ROOT, learn


@pytest.mark.parametrize(
    ("gamma", "gae_lambda", "noise", "most"),
    [
        (0.99, 1.0, 0.0, 0.0199),  # Monte-Carlo returns: 1 - gamma^2
        (0.99, 0.95, 0.0, 0.1154598 / (0.1154598 + 0.9801)),  # about 10 %
        (0.0, 0.0, 1.0, 0.5),  # half of the reward is noise
        (0.0, 1.0, 0.0, 1.0),
        (1.0, 1.0, 0.5, 0.0),  # an endless sum
    ],
)
def test_the_formula_by_hand(gamma, gae_lambda, noise, most):
    assert ceiling(gamma, gae_lambda, noise) == pytest.approx(most, abs=1e-4)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 100))
def test_it_is_a_share_and_falls_with_noise(gamma, gae_lambda, noise):
    most = ceiling(gamma, gae_lambda, noise)
    assert 0 <= most <= 1
    assert ceiling(gamma, gae_lambda, noise + 1) <= most


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.99, 0.95), (0.9, 1.0), (0.5, 0.0), (0.0, 0.9)])
def test_the_best_critic_reaches_it_in_a_simulation(gamma, gae_lambda):
    rng = np.random.default_rng(1)
    expected, noise = rng.normal(size=(4000, 50)), rng.normal(size=(4000, 50)) * 0.7
    values = expected  # the mean reward is 0, so that V = E[r|s]
    never = np.zeros((4000, 50), bool)
    after = np.concatenate([values[1:], np.zeros((1, 50))])
    targets = gae(expected + noise, values, after, never, never, gamma, gae_lambda) + values
    middle = slice(0, 3500)  # far from the end, where the sum is cut off
    explained = 1 - np.var(targets[middle] - values[middle]) / np.var(targets[middle])
    assert explained == pytest.approx(ceiling(gamma, gae_lambda, 0.49), abs=0.01)


def autocorrelated(reward, obs):
    rng = np.random.default_rng(0)
    return {
        "reward_autocorrelation": reward + 0.01 * rng.normal(size=25),
        "obs_autocorrelation": obs + 0.01 * rng.normal(size=25),
    }


@pytest.mark.parametrize(("reward", "obs", "independent"), [(0.0, 0.0, True), (0.0, 0.9, False), (0.3, 0.0, False)])
def test_steps_are_independent_where_nothing_carries_over(tmp_path, reward, obs, independent):
    assert steps_are_independent(DiagnosedRun(tmp_path, curves=autocorrelated(reward, obs))) is independent


def test_without_measurements_there_is_no_finding(tmp_path):
    assert steps_are_independent(DiagnosedRun(tmp_path)) is None
    assert critic_of(DiagnosedRun(tmp_path)) is None


def test_an_environment_that_knows_is_believed(tmp_path):
    for campaigns in (False, True):
        run = DiagnosedRun(tmp_path, config={"env": {"name": "threat", "campaigns": campaigns}})
        assert steps_are_independent(run) is not campaigns


@pytest.mark.parametrize(("most", "expected"), [(0.0, False), (0.0004, False), (0.3, True)])
def test_where_nothing_can_be_explained_nothing_is_missing(tmp_path, monkeypatch, most, expected):
    critic = _ceiling.Critic(gamma=0.0, gae_lambda=0.95, explained=-0.053, ceiling=most, without_discount=most)
    monkeypatch.setattr(_critic_ceiling, "critic_of", lambda run: critic)
    monkeypatch.setattr(_critic_ceiling, "read_diagnosed_run", lambda path: None)
    assert (_critic_ceiling.critic_ceiling(DiagnosedRun(tmp_path)) is not None) is expected
    if not expected:
        with pytest.raises(MetricUndefined, match="can be explained"):
            lookup("explained_variance_of_ceiling").compute(SimpleNamespace(path=tmp_path))


# Its actions in training are close to the best ones; those of the default preset are nearly random.
ONLINE = ["env=threat", "tuned=threat_ppo_online"]


def test_a_regression_is_close_to_the_exact_posterior(tmp_path):
    """The share of the reward that flows explain, once from the generator and once from the flows alone."""
    from rl_eval.diagnostics import read

    run = read(learn(tmp_path / "run", [*ONLINE, "total_steps=200000", "validation.every=100000"]))
    exact = _ceiling.state_share(run)
    del run.sampled.episodes.outcome["posterior"]
    regressed = _ceiling.state_share(run)
    assert exact == pytest.approx(0.73, abs=0.05)
    assert exact - 0.12 < regressed < exact + 0.03  # linear in the features, so a little less


def test_the_metric_is_undefined_where_it_has_no_meaning(tmp_path):
    run = learn(
        tmp_path / "run", ["env=cartpole", "total_steps=2048", "validation.every=2048", "validation.episodes=2"]
    )
    from rl_eval.run import read_run

    with pytest.raises(InputError, match="explained_variance_of_ceiling is undefined"):
        lookup("explained_variance_of_ceiling").compute(read_run(run))


def test_the_threat_suite_asks_for_it():
    suite = load_suite(ROOT / "suites/threat.yaml")
    assert {"explained_variance_of_ceiling", "diagnostic.policy_unmoved"} <= {c.metric.name for c in suite.criteria}
