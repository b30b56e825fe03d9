"""Finding metrics by name."""

from __future__ import annotations

import pytest

from rl_eval.errors import InputError
from rl_eval.metrics import compute, higher_is_better, list_metrics, lookup


@pytest.mark.parametrize(
    ("misspelt", "nearest"),
    [
        ("mean_retrun", "mean_return"),
        ("F1", "f1"),
        ("f1_seed_sdt", "f1_seed_std"),
        ("trainig.wall_s", "training.wall_s"),
    ],
)
def test_an_unknown_metric_suggests_the_nearest(misspelt, nearest):
    with pytest.raises(InputError, match=f"{misspelt!r} is not a metric: did you mean '{nearest}'"):
        lookup(misspelt)


def test_every_metric_is_described_in_one_line():
    for metric in list_metrics():
        assert 10 < len(metric.description) <= 120, metric.name
        assert "\n" not in metric.description


def test_a_family_fills_in_its_name():
    metric = lookup("recall_seed_variance")
    assert (metric.kind, metric.base, metric.seeds) == ("run", "recall", "different")
    assert lookup("training.wall_s").kind == "training"
    assert lookup("action_share.2").needs == ("action",)


def test_the_spread_of_a_training_number_is_not_a_metric():
    with pytest.raises(InputError):
        lookup("artefacts_complete_seed_std")


def test_direction_and_kind_are_refused_where_there_is_none():
    assert higher_is_better("f1")
    assert not higher_is_better("mean_cost")
    with pytest.raises(InputError, match="no better direction"):
        higher_is_better("mean_length")
    with pytest.raises(InputError, match="not a metric of episodes"):
        compute("training.wall_s", None, None)
