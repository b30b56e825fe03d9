from pathlib import Path

import numpy as np
import pytest

from rl_eval.cost import Cost, Rate, RecordedCost, cost_to_reach, elsewhere
from rl_eval.run import RunRecord

HERE = Rate(machine="here", price_per_hour=1.0, currency="USD")
THERE = Rate(machine="there", price_per_hour=3.0, watts=100, currency="USD")


def recorded(rate, seconds, steps=1000, work="w"):
    return RecordedCost(Path("r"), work, steps, rate, rate.cost(seconds), {})


def test_the_same_speed_is_assumed_where_nothing_was_measured():
    result = elsewhere([recorded(HERE, 3600)], THERE)
    assert result.cost == Cost(3600, 100, 3.0, "USD")
    assert result.speed_text == "1 assumed"
    assert result.break_even == pytest.approx(3)  # costs the same if it is three times as fast


def test_runs_of_the_same_work_there_measure_its_speed():
    there = [recorded(THERE, 100), recorded(THERE, 200), recorded(THERE, 400, work="other")]
    result = elsewhere([recorded(HERE, 600)], THERE, there)
    assert result.speed_text == "4.5 measured"  # the median of 6 and 3
    assert result.cost.machine_s == pytest.approx(600 / 4.5)


def test_a_given_speed_counts_more():
    assert elsewhere([recorded(HERE, 600)], THERE, [recorded(THERE, 100)], stated_speed=2.0).cost.machine_s == 300


def test_the_same_machine_costs_the_same():
    run = recorded(HERE, 600)
    assert elsewhere([run], HERE).cost == run.total


def test_without_a_price_the_money_is_unknown():
    assert elsewhere([recorded(HERE, 600)], Rate(machine="x")).cost.money is None
    assert elsewhere([recorded(Rate(), 600)], THERE).break_even is None


@pytest.mark.parametrize(
    ("bar", "higher", "steps"), [(5, True, 200), (9, True, 300), (10, True, None), (3, False, 100), (0, False, None)]
)
def test_the_first_score_that_meets_the_bar(bar, higher, steps):
    curves = {
        "env_steps": np.array([50.0, 100, 200, 300]),
        "wall_s": np.array([1.0, 2, 4, 6]),
        "validation_score": np.array([np.nan, 2, 7, 9]),
    }
    info = {"cost": {"price_per_hour": 1800.0, "currency": "USD", "share": 0.5, "training": {"machine_s": 9}}}
    reached = cost_to_reach(RunRecord(Path("r"), info, {}, curves), bar, higher_is_better=higher)
    if steps is None:
        assert reached is None
        return
    assert reached.env_steps == steps
    seconds = dict(zip(curves["env_steps"], curves["wall_s"], strict=True))[steps]
    assert reached.cost == Cost(seconds / 2, None, seconds / 4, "USD")
