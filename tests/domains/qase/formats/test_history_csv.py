"""Published figures of IOF/ROL, reproduced with our ranks and features."""

from pathlib import Path

import numpy as np
import pytest

from rl_eval.domains.qase.environment.features import FEATURES, history_features
from rl_eval.domains.qase.environment.ranking import apfd, mid_ranks
from rl_eval.domains.qase.formats.load import load

FILE = Path(__file__).resolve().parents[5] / "shared" / "data" / "iofrol" / "iofrol.csv"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE.name} is not here")


@pytest.fixture(scope="module")
def history():
    result = load(str(FILE))
    return result.project, result.log


def mean_apfd(log, scores):
    """Over the failing cycles of at least 6 cases: the mean, and how many there are."""
    values = []
    for cycle in range(len(log.cycles)):
        rows = log.cycle == cycle
        failed = log.verdict[rows] == 1
        if failed.any() and len(failed) >= 6:
            real = np.ones((1, len(failed)), bool)
            values.append(apfd(mid_ranks(scores[rows][None].astype(float), real), failed[None], real)[0])
    return float(np.mean(values)), len(values)


def test_published_figures(history):
    project, log = history
    assert (len(log), len(project.cases), len(log.cycles)) == (32_260, 1_941, 320)
    chance, cycles = mean_apfd(log, np.zeros(len(log)))
    assert cycles == 205
    assert chance == pytest.approx(0.5, abs=1e-9), "ties count their mean rank, which is chance exactly"
    drawn = np.mean([mean_apfd(log, np.random.default_rng(i).random(len(log)))[0] for i in range(5)])
    assert drawn == pytest.approx(0.5, abs=0.01)
    assert mean_apfd(log, log.verdict)[0] == pytest.approx(0.798, abs=0.001)
    # the mean of LastResults as the file has it, which in 4,596 rows holds verdicts of the very cycle
    lengths = np.diff(log.earlier_start)
    summed = np.concatenate([[0], np.cumsum(log.earlier_verdicts, dtype=np.int64)])
    recorded = (summed[log.earlier_start[1:]] - summed[log.earlier_start[:-1]]) / np.maximum(lengths, 1)
    assert mean_apfd(log, np.where(lengths == 0, 1.0, recorded))[0] == pytest.approx(0.637, abs=0.004)


def test_our_features_use_only_earlier_cycles_and_score_as_well(history):
    project, log = history
    rate = history_features(project, log)[:, FEATURES[-20:].index("failure_rate")]
    assert mean_apfd(log, rate)[0] == pytest.approx(0.641, abs=0.001)
