"""Earlier splits of a history: each trains before it validates, and none touches the test part."""

import numpy as np
import pytest

from rl_eval.domains.qase import DOMAIN
from rl_eval.domains.qase.config import Config
from rl_eval.domains.qase.environment.dataset import load_dataset
from rl_eval.errors import InputError


@pytest.mark.parametrize(("cycles", "count", "share"), [(6, 5, 0.3), (7, 1, 0.1), (12, 3, 0.5), (18, 7, 0.3)])
def test_the_validation_parts_follow_one_another_up_to_the_test_part(cycles, count, share):
    config = Config(cycles=cycles, signal=False, unseen_share=0.0, test_share=share)
    whole = load_dataset(config).parts
    order = [name for part in ("train", "validation", "test") for name in whole[part].names]
    validated = []
    splits = DOMAIN.earlier_splits(config, count)
    assert 1 <= len(splits) <= count
    for split in splits:
        parts = load_dataset(split).parts
        assert list(parts["train"].names) == order[: len(parts["train"])]
        assert order.index(parts["validation"].names[0]) == len(parts["train"])
        validated += parts["validation"].names
    before_test = len(order) - len(whole["test"])
    assert validated == order[before_test - len(validated) : before_test]
    assert before_test // 3 <= before_test - len(validated) <= max(before_test // 3, 1)


@pytest.mark.parametrize("share", [0.7, 0.75, 0.8])
def test_a_large_test_part_leaves_enough_for_the_first_split(share):
    config = Config(cycles=40, signal=False, test_share=share)
    counts = load_dataset(config).counts
    parts = [load_dataset(split).parts for split in DOMAIN.earlier_splits(config, 3)]
    assert len(parts[0]["train"]) == counts["judged"] // 10 + 1
    assert sum(len(each["validation"]) for each in parts) + len(parts[0]["train"]) == counts["judged"] - counts["test"]


def test_live_there_is_nothing_to_split():
    assert DOMAIN.earlier_splits(Config(mode="live"), 5) == ()


def test_three_judged_cycles_are_one_for_each_part_and_fewer_are_too_few():
    parts = load_dataset(Config(cycles=5, signal=False)).parts
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [1, 1, 1]
    with pytest.raises(InputError, match="too few"):
        load_dataset(Config(cycles=5, signal=False, min_cases=70))


def test_the_split_of_long_histories_is_as_the_shares_say():
    counts = load_dataset(Config(cycles=100, signal=False)).counts
    shares = [counts[part] / counts["judged"] for part in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.3], atol=0.01)
