"""The benchmarks of prompts: each task is left out once, leads are paired, and steps are legal."""

import pytest

from benchmarks import prompt_stepping, prompt_tasks


def test_each_task_is_left_out_once_and_chooses_no_snapshot_for_itself():
    names = ["a", "b", "c"]
    parts = [prompt_tasks.left_out(names, index) for index in range(3)]
    assert [part["test_tasks"] for part in parts] == [["a"], ["b"], ["c"]]
    assert all(part["test_tasks"] != part["validation_tasks"] for part in parts)


def test_the_lead_is_the_mean_of_differences_with_students_interval():
    others = dict.fromkeys(prompt_tasks.POLICIES, 0.1)
    found = prompt_tasks.summary({"a": {"ppo": 0.2, **others}, "b": {"ppo": 0.4, **others}})
    mean, low, high = found["ppo minus baseline:best_sequence"]
    assert mean == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.2 - 12.706 * 0.1, 0.2 + 12.706 * 0.1), abs=1e-3)


def test_steps_are_counted_over_copies(monkeypatch):
    monkeypatch.setattr(prompt_stepping, "SLICE_S", 0.01)
    assert prompt_stepping.stepping(4)() > 0
