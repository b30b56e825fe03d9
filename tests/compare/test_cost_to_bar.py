"""What it cost each group to reach a bar: medians over the runs that did."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.cost_to_bar import costs_to_bar
from rl_eval.compare.groups import RunGroup
from rl_eval.run import RunRecord, write_json

TASK = SimpleNamespace(metric=SimpleNamespace(name="mean_return", better="higher"))
PRICE = {"price_per_hour": 3600.0, "currency": "USD", "share": 1.0}


def run(path, scores, *, cost=PRICE, config=None, metric="mean_return"):
    steps = np.arange(1, len(scores) + 1)
    curves = {"env_steps": steps * 100.0, "wall_s": steps * 2.0, "validation_score": np.array(scores, float)}
    settings = {"validation": {"metric": metric}}
    record = RunRecord(Path(path), {"cost": cost, "status": "finished"}, settings, curves)
    return ComparedRun(str(path), "run", config or {}, "finished", {}, curves, record)


def test_medians_over_the_runs_that_reach_it(tmp_path):
    fast = RunGroup("fast", (run(tmp_path, [10, 30]), run(tmp_path, [30, 30]), run(tmp_path, [1, 1, 30])))
    slow = RunGroup("slow", (run(tmp_path, [1, 2, 3]), run(tmp_path, [1, 2, 3, 30])))
    result = costs_to_bar([fast, slow], TASK, 20.0)
    assert result.bar == 20.0
    assert [(group.runs, len(group.reached), group.env_steps) for group in result.groups] == [(3, 3, 200), (2, 1, 400)]
    assert result.groups[0].cost.money == pytest.approx(4)
    assert result.groups[1].cost.machine_s == 8


def test_a_group_that_never_reaches_it_has_no_cost(tmp_path):
    (group,) = costs_to_bar([RunGroup("a", (run(tmp_path, [1, 2]),))], TASK, 20.0).groups
    assert (group.reached, group.cost, group.env_steps) == ((), None, None)
    assert group.to_json() == {"runs": 1, "reached": 0, "env_steps": None}


def test_a_run_without_a_price_leaves_its_group_without_one(tmp_path):
    (group,) = costs_to_bar([RunGroup("a", (run(tmp_path, [30]), run(tmp_path, [30], cost={})))], TASK, 20.0).groups
    assert (group.cost.money, group.cost.machine_s) == (None, 2.0)


def test_the_bar_is_that_of_the_verdicts_or_of_validation(tmp_path):
    stops = RunGroup("a", (run(tmp_path, [30], config={"validation.stop_at": 25.0}),))
    assert costs_to_bar([stops], TASK, None).bar == 25.0
    assert costs_to_bar([RunGroup("a", (run(tmp_path, [30]),))], TASK, None) is None
    row = {"criterion": "c", "metric": "mean_return", "direction": "at_least", "threshold": 28.0, "decision": "PASS"}
    write_json(tmp_path / "verdict.json", {"suites": [{"criteria": [row], "part": "test"}]})
    assert (
        costs_to_bar([RunGroup("a", (run(tmp_path, [30], config={"validation.stop_at": 25.0}),))], TASK, None).bar == 28
    )


def test_scores_of_another_metric_have_no_bar(tmp_path):
    assert costs_to_bar([RunGroup("a", (run(tmp_path, [30], metric="success_rate"),))], TASK, 20.0) is None
