"""What a verdict on prompts shows: which tasks it is about, and the gain on each."""

import re

import numpy as np
import pytest

from rl_eval.domains.prompt import Config
from rl_eval.domains.prompt.environment.dataset import load_part
from rl_eval.formatting import number
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from tests.domains.prompt.synthetic_tasks import TASKS

SUITE = """
rl_eval: 1
env: prompt
population: set
controls: []
criteria:
  gains: {metric: mean_judge_gain, better_than: "baseline:none"}
  some:  {metric: mean_judge_gain, at_least: -1}
"""


@pytest.fixture(scope="module")
def verdict(tmp_path_factory):
    """The optimum, judged on the synthetic tasks."""
    path = tmp_path_factory.mktemp("suites") / "prompts.yaml"
    path.write_text(SUITE)
    suite = load_suite(path)
    return evaluate_suite(suite, named_runs(suite, ["baseline:optimal"]))


def gains_by_task():
    """Task -> mean gain of the optimum over its starts."""
    prompts = load_part(Config(), "test")
    judge = np.where(prompts.states.can_reach, prompts.scores["judge"], -np.inf)
    gains = judge.max(axis=1) - judge[:, 0]
    return {task.name: gains[prompts.states.task == index].mean() for index, task in enumerate(prompts.states.tasks)}


def test_the_test_set_names_the_tasks(verdict):
    names = ", ".join(task.name for task in TASKS["test"])
    assert f"start prompts of these {len(TASKS['test'])} tasks: {names}" in verdict.test_data


def test_each_task_has_its_gain_also_beside_the_reference(verdict):
    details = {one.criterion: one.detail for one in verdict.criteria}
    for name, gain in gains_by_task().items():
        assert re.search(rf"{name} {re.escape(number(gain))}[,;]", details["some"])
        assert f"{name} {number(gain)} against 0" in details["gains"]
