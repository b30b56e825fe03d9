"""The suite on public tasks: what it judges is there, apart from training, and no more than can be scored."""

from pathlib import Path

import pytest
import yaml

from rl_eval.domains.prompt import Config
from rl_eval.domains.prompt.commands.inputs import read_tasks
from rl_eval.domains.prompt.scoring.collect import jobs_of
from rl_eval.domains.prompt.tasks.task import with_items

ROOT = Path(__file__).resolve().parents[3]
TASKS = ROOT.parent / "shared" / "data" / "prompts" / "tasks"
SUITE = yaml.safe_load((ROOT / "suites" / "prompt_llm.yaml").read_text(encoding="utf-8"))


def test_the_judge_is_another_model_than_the_one_that_gives_feedback_and_the_set_is_named():
    config = Config(**SUITE["env"])
    assert SUITE["needs"] == ["llm"]
    assert SUITE["population"] == "set"
    assert config.judge.model != config.feedback
    assert len(set(config.test_tasks)) >= 3
    assert not set(config.test_tasks) & set(config.validation_tasks)


@pytest.mark.skipif(not TASKS.is_dir(), reason="needs ../shared/data/prompts/tasks")
def test_the_gate_scores_600_prompts_of_20_items_at_most_and_training_1500():
    config = Config(**SUITE["env"])
    tasks = {task.name: with_items(task, config.items) for task in read_tasks(TASKS)}
    assert {len(task.test) for task in tasks.values()} == {20}
    gate = len(jobs_of(tasks[name] for name in config.test_tasks))
    assert 0 < gate <= 600
    assert 0 < len(jobs_of(task for name, task in tasks.items() if name not in config.test_tasks)) <= 1500
