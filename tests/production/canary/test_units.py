"""Units of a step, read from a store of SQLite and of PostgreSQL."""

import numpy as np
import pytest

from rl_eval.production.canary.units import UnitReader
from rl_eval.production.canary_config import RolloutConfig
from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.store import Store

CONFIG = RolloutConfig(reward_window=60.0)
BYTES = np.zeros(2, np.float32).tobytes()


def accept(pairs, _):
    return [None] * len(pairs)


def decision(index, at, version, unit=None, shadow=False):
    unit = f"unit {index}" if unit is None else unit
    return LoggedDecision(f"d{index:05}", at, unit, version, BYTES, None, BYTES, 0.5, None, None, shadow)


def reward(index, at, value):
    return LoggedReward(f"d{index:05}", value, at, True, False)


def test_units_count_in_the_order_of_decisions_once_their_rewards_had_time(store_address, tmp_path):
    store = Store(store_address, tmp_path)
    reader = UnitReader(store, CONFIG, 1000.0, frozenset({"2", "new"}), frozenset({"1"}))
    first = [decision(0, 999.0, "1"), decision(3, 1003.0, "new"), decision(2, 1002.0, "1"), decision(1, 1001.0, "2")]
    store.ingest([*first, decision(4, 1002.5, "2", shadow=True), decision(5, 1002.6, "other")], accept, 1003.0)
    store.ingest([reward(3, 1004.0, 0.3), reward(1, 1030.0, 0.1)], accept, 1030.0)
    assert len(reader.read(1010.0, 10.0).rewards) == 0
    assert len(reader.read(1059.0, 59.0).rewards) == 0
    store.ingest([decision(6, 1050.0, "1")], accept, 1060.0)
    units = reader.read(1071.0, 71.0)
    np.testing.assert_array_equal(units.rewards, [0.1, np.nan, 0.3])
    np.testing.assert_array_equal(units.challenger, [True, False, True])
    assert len(reader.read(1100.0, 100.0).rewards) == 0
    assert len(reader.read(1140.0, 140.0).rewards) == 1
    assert reader.challenger_decisions == 3
    store.close()


@pytest.mark.verify
def test_a_busy_slot_is_left_once_it_has_its_units(tmp_path):
    store = Store("sqlite:///store.sqlite", tmp_path)
    rng = np.random.default_rng(0)
    times = np.concatenate([rng.uniform(0, 900, 12_000), 900 + rng.uniform(0, 900, 100)])
    records = [decision(index, 900_000.0 + at, "1") for index, at in enumerate(np.sort(times))]
    for start in range(0, len(records), 2_000):
        store.ingest(records[start : start + 2_000], accept, 901_800.0)
    reader = UnitReader(store, CONFIG, 900_000.0, frozenset({"2"}), frozenset({"1"}))
    counted = sum(len(reader.read(902_000.0 + t, t).rewards) for t in (0.0, 61.0, 122.0))
    assert counted == -(-20_000 // 96) + 100
    store.close()
