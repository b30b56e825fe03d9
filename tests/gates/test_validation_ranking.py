"""The best of runs, and of groups of runs, on validation."""

import math

import pytest

from rl_eval.gates.validation_ranking import best_on_validation
from tests.gates.fake_runs import write_run


@pytest.fixture
def run(tmp_path):
    """`run(score, metric)` writes a run with a validation score."""
    count = iter(range(100))

    def write(score, metric="mean_return", env="cartpole"):
        info = {"results": {metric: score}}
        return write_run(tmp_path / f"{next(count)}", env, config={"validation": {"metric": metric}}, info=info)

    return write


@pytest.mark.parametrize(("metric", "index"), [("mean_return", 1), ("mean_cost", 2)])
def test_the_direction_is_that_of_the_metric(run, metric, index):
    best = best_on_validation([[run(score, metric)] for score in (0.5, 0.9, 0.1, 0.9)])
    assert (best.index, best.metric) == (index, metric)
    assert str(best) == f"{metric} {best.score:g}"


def test_of_groups_the_mean_decides(run):
    best = best_on_validation([[run(1.0), run(5.0)], [run(4.0), run(4.0)]])
    assert (best.index, best.score) == (1, 4.0)


@pytest.mark.parametrize("score", [None, math.nan, math.inf, "9", True])
def test_a_candidate_with_a_run_without_a_score_is_not_the_best(run, score):
    assert best_on_validation([[run(score), run(9.0)], [run(1.0)]]).index == 1
    assert best_on_validation([[run(score)]]) is None


def test_what_cannot_be_compared_has_no_best(run):
    assert best_on_validation([]) is None
    assert best_on_validation([[run(1.0)], [run(2.0, "success_rate")]]) is None
    assert best_on_validation([[run(1.0)], [run(2.0, env="lunarlander")]]) is None
    assert best_on_validation([[run(1.0, "mean_length")], [run(2.0, "mean_length")]]) is None  # neither way is better
    assert best_on_validation([[run(1.0, "unknown")]]) is None
    broken = run(1.0)
    broken.config["env"] = {"name": "cartpole", "wings": 2}
    assert best_on_validation([[broken]]) is None
