"""The baselines on the embedded data, compared with the Bayes-optimal figures."""

import numpy as np
import pytest

from rl_eval.domains import threat
from rl_eval.domains.threat import baselines, data
from rl_eval.domains.threat.baselines import least_cost_action
from rl_eval.errors import InputError

CONFIG = threat.Config()
SMALL = threat.Config(train_flows=4000, validation_flows=500, test_flows=8000)


def f1(flagged, threat_label):
    hits = (flagged & threat_label).sum()
    return 2 * hits / (flagged.sum() + threat_label.sum())


def test_the_overlap_is_as_designed():
    """The suite asks F1 .8, recall .75 and a false-positive rate of .05; the best policy has room above it."""
    report = baselines.bayes_report(CONFIG)
    assert report["best_f1"] == pytest.approx(0.91, abs=0.005)
    assert report["f1"] == pytest.approx(0.90, abs=0.005)
    assert report["recall"] > 0.9
    assert report["false_positive_rate"] < 0.025
    assert report["break_even"] == pytest.approx(0.25, abs=1e-3)


def test_bayes_reads_the_observation_alone():
    gate = data.load_dataset(CONFIG).parts["test"]
    policy = threat.DOMAIN.baselines["bayes"](CONFIG)
    np.testing.assert_allclose(policy.threat_probability(gate.features), gate.posterior, atol=2e-3)
    costs = np.asarray(CONFIG.costs)
    action = policy.act(gate.features, True)
    assert costs[gate.label, action].mean() == pytest.approx(baselines.bayes_report(CONFIG)["cost"], rel=2e-3)


def test_bayes_stays_calibrated_where_rare_levels_were_folded_into_other():
    config = threat.Config(train_flows=150, validation_flows=100, test_flows=20_000)
    gate = data.load_dataset(config).parts["test"]
    posterior = threat.DOMAIN.baselines["bayes"](config).threat_probability(gate.features)
    assert posterior.mean() == pytest.approx(gate.label.mean(), abs=0.01)


def test_bayes_costs_least():
    gate, costs = data.load_dataset(SMALL).parts["test"], np.asarray(SMALL.costs)
    spent = {name: costs[gate.label, build(SMALL).act(gate.features, True)].mean()
             for name, build in threat.DOMAIN.baselines.items()}  # fmt: skip
    assert min(spent, key=spent.get) == "bayes"
    assert max(spent, key=spent.get) == "block_all"


def test_bayes_needs_a_known_distribution():
    with pytest.raises(InputError, match=r"baseline:bayes needs env\.data=synthetic"):
        threat.DOMAIN.baselines["bayes"](threat.Config(data="csv", path="x", label="y"))
    with pytest.raises(InputError, match=r"need env\.data=synthetic"):
        baselines.bayes_report(threat.Config(data="csv", path="x", label="y"))


@pytest.mark.parametrize("name", ["logistic_regression", "random_forest", "hist_gradient_boosting"])
def test_classifiers_are_policies(name):
    gate = data.load_dataset(SMALL).parts["test"]
    policy = threat.DOMAIN.baselines[name](SMALL)
    assert 0.6 < f1(policy.act(gate.features, True) == threat.BLOCK, gate.label == 1) <= 0.92
    chances = policy.probabilities(gate.features)
    assert chances.shape == (len(gate), 4)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    np.testing.assert_array_equal(chances.argmax(axis=1), policy.act(gate.features, True))
    sampled = policy.act(gate.features, False)
    assert (sampled == threat.BLOCK).mean() == pytest.approx(chances[:, threat.BLOCK].mean(), abs=0.02)
    assert threat.DOMAIN.baselines[name](SMALL)._model is policy._model  # fitted once a process


@pytest.mark.parametrize("name", ["logistic_regression", "hist_gradient_boosting"])
def test_at_cost_the_action_of_least_expected_cost_is_taken(name):
    """By hand: the expected cost of each action under the classifier's own P(threat), and the prices of the config."""
    config = SMALL.model_copy(update={"costs": ((0.0, 3.0, 1.0, 0.1), (5.0, 0.0, 0.5, 2.0))})
    gate = data.load_dataset(config).parts["test"]
    threat_chance = threat.DOMAIN.baselines[name](config).probabilities(gate.features)[:, threat.BLOCK]
    expected = np.stack([1 - threat_chance, threat_chance], axis=1) @ np.asarray(config.costs)
    policy = threat.DOMAIN.baseline(f"{name}@cost", config)
    np.testing.assert_array_equal(policy.act(gate.features, True), expected.argmin(axis=1))
    np.testing.assert_array_equal(policy.act(gate.features, False), expected.argmin(axis=1))
    assert set(policy.act(gate.features, True)) == {0, 1, 2, 3}
    default = threat.DOMAIN.baseline(f"{name}@cost", SMALL)
    assert default._model is policy._model  # fitted once for all prices and thresholds
    assert (default.act(gate.features, True) != policy.act(gate.features, True)).any()


def test_a_threshold_is_an_operating_point():
    gate = data.load_dataset(SMALL).parts["test"]
    chance = threat.DOMAIN.baselines["logistic_regression"](SMALL).threat_probability(gate.features)
    for point, threshold in (("0.25", 0.25), (".9", 0.9), ("1e-3", 0.001)):
        policy = threat.DOMAIN.baseline(f"logistic_regression@{point}", SMALL)
        blocked = np.where(chance > threshold, threat.BLOCK, threat.ALLOW)
        np.testing.assert_array_equal(policy.act(gate.features, True), blocked)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("logistic_regression@", "no operating point"),
        ("logistic_regression@1", "no operating point"),
        ("logistic_regression@nan", "no operating point"),
        ("logistic_regression@best", "no operating point"),
        ("logistic_regresion@cost", "did you mean 'logistic_regression'"),
        ("bayes@cost", "only logistic_regression, random_forest, hist_gradient_boosting have an operating point"),
        ("forest", "baseline:forest is not a baseline of threat"),
    ],
)
def test_what_is_no_baseline_is_one_sentence(name, sentence):
    with pytest.raises(InputError) as error:
        threat.DOMAIN.baseline(name, SMALL)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_classifiers_look_past_the_backlog_column():
    config = SMALL.model_copy(update={"alert_window": 10})
    envs = threat.DOMAIN.make(config, n_envs=4, part="test")
    obs, _ = envs.reset(seed=0)
    for name in (*threat.DOMAIN.baselines, "logistic_regression@cost", "random_forest@.1"):
        assert threat.DOMAIN.baseline(name, config).act(obs, True).shape == (4,), name


def test_each_action_is_the_cheapest_somewhere():
    grid = np.linspace(0, 1, 1001)
    action = least_cost_action(grid, np.asarray(CONFIG.costs))
    changes = grid[1:][np.diff(action) != 0]
    assert action[[0, 400, 600, 1000]].tolist() == [threat.ALLOW, threat.ALERT, threat.QUARANTINE, threat.BLOCK]
    np.testing.assert_allclose(changes, [0.25, 0.5, 0.75], atol=0.0011)
