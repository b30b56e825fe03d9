"""Meters: training, judging and their sum; a budget that is shared, and outlives its processes."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import run as runs
from rl_eval.cost import Budget, Meter, Rate, SharedClock, recorded_cost

RATE = Rate(machine="m", price_per_hour=3600.0, watts=10, currency="USD")  # 1 USD a second


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("time.perf_counter", clock)
    return clock


def record(tmp_path, cost, rows=()):
    return runs.RunRecord(tmp_path, {"cost": cost, "wall_s": 0}, {}, {"wall_s": np.array(rows, float)})


def test_parts_add_up(clock):
    meter = Meter(RATE)
    clock.now = 4.0
    meter.end_training()
    with meter.judge("one"):
        clock.now = 6.5
    with meter.judge("two"):
        clock.now = 7.0
    values = meter.to_json()
    assert values["training"]["money"] == pytest.approx(4)
    assert {name: part["money"] for name, part in values["judging"].items()} == pytest.approx({"one": 2.5, "two": 0.5})
    parts = [values["training"], *values["judging"].values()]
    for name in ("machine_s", "energy_wh", "money"):
        assert values["total"][name] == pytest.approx(sum(part[name] for part in parts))


def test_what_a_run_recorded_is_read_back(clock, tmp_path):
    meter = Meter(RATE)
    clock.now = 4.0
    meter.end_training()
    with meter.judge("suite"):
        clock.now = 5.0
    recorded = recorded_cost(runs.Run(tmp_path, {"cost": meter.to_json()}, {}))
    assert recorded.total == meter.total
    assert recorded.judging == meter.judging


def test_going_on_adds_what_it_took_before_at_the_price_of_then(clock, tmp_path):
    first = Meter(RATE)
    clock.now = 4.0
    meter = Meter(Rate(machine="cheap", price_per_hour=1800.0, watts=10, currency="USD"))
    meter.add_earlier(record(tmp_path, first.to_json()))
    clock.now = 6.0
    assert meter.training.money == pytest.approx(4 + 1)


def test_a_killed_process_leaves_its_rows(clock, tmp_path):
    first = Meter(RATE)
    meter = Meter(RATE)
    meter.add_earlier(record(tmp_path, first.to_json(), rows=[1.0, 7.0]))
    assert meter.training.money == pytest.approx(7)


def test_a_killed_process_leaves_what_it_spent(clock, tmp_path):
    with runs.open_spent(tmp_path) as spent:
        first = Meter(RATE, Budget.parse("10 USD"), spent)
        earlier = first.to_json()
        clock.now = 9.0
        assert not first.over_budget()
    with runs.open_spent(tmp_path) as spent:
        meter = Meter(RATE, Budget.parse("10 USD"), spent)
        meter.add_earlier(record(tmp_path, earlier))
        assert meter.used() == pytest.approx(9)
        clock.now = 10.0
        assert meter.over_budget()


def test_what_was_spent_of_a_budget_counts_for_one_in_another_unit(clock, tmp_path):
    with runs.open_spent(tmp_path) as spent:
        first = Meter(RATE, Budget.parse("5 s"), spent)
        earlier = first.to_json()
        clock.now = 9.0
        assert first.over_budget()
    with runs.open_spent(tmp_path) as spent:
        meter = Meter(RATE, Budget.parse("1 h"), spent)
        meter.add_earlier(record(tmp_path, earlier))
        assert meter.used() == pytest.approx(9 / 3600)
        assert not meter.over_budget()


def test_the_jobs_of_a_sweep_share_a_budget(clock, tmp_path):
    with runs.open_spent(tmp_path, 0, 2) as one, runs.open_spent(tmp_path, 1, 2) as other:
        first, second = (Meter(RATE, Budget.parse("10 USD"), spent) for spent in (one, other))
        clock.now = 4.0
        assert not first.over_budget()
        assert not second.over_budget()
        clock.now = 6.0
        assert first.over_budget()  # 6 of its own, and the 4 that the other wrote
        assert second.over_budget()


def test_without_a_budget_nothing_is_over(clock):
    meter = Meter(Rate())
    clock.now = 1e9
    assert not meter.over_budget()
    assert meter.to_json()["total"]["money"] is None


@pytest.mark.parametrize(
    "cost",
    [None, [], {"training": 3}, {"training": {"machine_s": "x"}}, {"judging": [1]}, {"training": {"machine_s": -1}},
     {"share": 0}, {"price_per_hour": float("inf")}],
)  # fmt: skip
def test_a_record_from_anyone_is_read_without_trust(cost, tmp_path):
    recorded = recorded_cost(runs.Run(tmp_path, {"cost": cost, "wall_s": 3.0, "env_steps": 6}, {}))
    assert recorded.total.money is None
    assert recorded.total.machine_s == 3.0
    assert recorded.steps_per_machine_s == 2.0


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), min_size=1, max_size=20), st.integers(1, 5))
def test_the_parts_of_a_shared_clock_sum_to_the_whole_whoever_ends(steps, count):
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", clock)
        shared, active = SharedClock(count), list(range(count))
        worked = 0.0
        for seconds, ends in steps:
            clock.now += seconds
            worked += seconds if active else 0.0
            if ends and active:
                shared.end(active.pop())
        parts = [shared.seconds(index) for index in range(count)]
    assert sum(parts) == pytest.approx(worked, abs=1e-9)
    assert parts == sorted(parts, reverse=True)  # the last ones ended first


def test_meters_on_a_shared_clock_divide_what_it_took(clock):
    shared = SharedClock(2)
    first, second = (Meter(RATE, clock=functools.partial(shared.seconds, index)) for index in range(2))
    clock.now = 4.0
    first.end_training()
    shared.end(0)
    clock.now = 7.0
    assert (first.training.money, second.training.money) == pytest.approx((2.0, 5.0))
