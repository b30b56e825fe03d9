"""Facts about the public NSL-KDD files; skipped where the files are missing."""

from pathlib import Path

import numpy as np
import pytest

from rl_eval.domains import threat
from rl_eval.domains.threat import data
from rl_eval.rollout import play

FOLDER = Path(__file__).resolve().parents[4] / "shared/data/nsl-kdd"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "KDDTest+.txt").is_file(), reason="NSL-KDD (KDDTrain+.txt, KDDTest+.txt) is not at ../shared/data"
)
CONFIG = threat.Config(data="nsl_kdd", path=str(FOLDER))


@pytest.fixture(scope="module")
def parts():
    return data.load_dataset(CONFIG).parts


def scores(policy, part):
    flagged, threats = policy.act(part.features, True) != threat.ALLOW, part.label == 1
    hits = (flagged & threats).sum()
    return 2 * hits / (flagged.sum() + threats.sum()), (flagged & ~threats).sum() / (~threats).sum()


def test_sizes_are_the_published_ones(parts):
    assert len(parts["train"]) + len(parts["validation"]) == 125_973
    assert len(parts["test"]) == 22_544
    assert len(parts["validation"]) == pytest.approx(0.15 * 125_973, rel=0.03)


def test_664_test_flows_equal_a_training_flow(parts):
    train = np.concatenate([parts["train"].hashes, parts["validation"].hashes])
    assert int(np.isin(parts["test"].hashes, train).sum()) == 664
    assert not np.isin(parts["validation"].hashes, parts["train"].hashes).any()


def test_17_attack_types_occur_only_in_the_test_file(parts):
    train = set(parts["train"].category) | set(parts["validation"].category)
    assert len(set(parts["test"].category) - train) == 17


def test_blocking_everything_looks_good(parts):
    f1, false_positive_rate = scores(threat.DOMAIN.baselines["block_all"](CONFIG), parts["test"])
    assert f1 == pytest.approx(0.7255, abs=5e-4)
    assert false_positive_rate == 1.0


def test_logistic_regression_reaches_published_scores(parts):
    f1, false_positive_rate = scores(threat.DOMAIN.baselines["logistic_regression"](CONFIG), parts["test"])
    assert f1 == pytest.approx(0.742, abs=0.02)
    assert false_positive_rate == pytest.approx(0.074, abs=0.01)


def test_at_a_tenth_blocking_everything_no_longer_does():
    config = CONFIG.model_copy(update={"prevalence": 0.113})
    f1, _ = scores(threat.DOMAIN.baselines["block_all"](config), data.load_dataset(config).parts["test"])
    assert f1 == pytest.approx(0.203, abs=1e-3)


def test_playing_the_gate_visits_every_flow_once():
    envs = threat.DOMAIN.make(CONFIG, n_envs=64, part="test", autoreset=False)
    played = play(
        envs, threat.DOMAIN.baselines["block_all"](CONFIG), seeds=range(threat.DOMAIN.episodes(CONFIG, "test")), order=3
    )
    assert np.array_equal(np.sort(played.outcome["flow"]), np.arange(22_544))
    assert played.lengths[-1] == 22_544 % 200
