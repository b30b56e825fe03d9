"""Tasks from a folder and scores from a table: split by task, and each mistake is one sentence."""

import csv
import json

import pytest

from rl_eval.domains.prompt import DOMAIN
from rl_eval.domains.prompt.config import Config, JudgeConfig
from rl_eval.domains.prompt.environment import source
from rl_eval.domains.prompt.scoring.scores import Score, ScoreTable, prompt_hash
from rl_eval.domains.prompt.tasks.starts import starts
from rl_eval.domains.prompt.tasks.task import read_task
from rl_eval.domains.prompt.text.mutations import reachable
from rl_eval.errors import InputError
from tests.domains.prompt.synthetic_tasks import TASKS, noise

ALL = [task for tasks in TASKS.values() for task in tasks][:5]
MODELS = {"a" * 16: "alpha-1B Q4", "b" * 16: "beta-2B Q8"}


def write_task(task, folder):
    folder.mkdir()
    content = {"name": task.name, "labels": task.labels, "instruction": task.instruction, "category": task.category}
    (folder / "task.json").write_text(json.dumps(content))
    for part in ("train", "test"):
        with open(folder / f"{part}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("text", "label"))
            rows.writerows((item.text, item.label) for item in getattr(task, part))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five tasks, and a table with scores of all of their prompts by two models."""
    path = tmp_path_factory.mktemp("tasks")
    table = ScoreTable(models=MODELS)
    for task in ALL:
        write_task(task, path / task.name)
        written = read_task(path / task.name)
        for start in starts(written):
            for prompt in reachable(start.text, written):
                for model in MODELS:
                    key = prompt_hash(prompt), written.item_set_hash(), model
                    table.scores[key] = Score(*[-round(noise(*key), 5)] * 2, 0.5, 0.75)
    table.write(path / "scores.csv.gz")
    return path


def config_of(folder, **changes):
    values = {
        "tasks": "folder", "path": str(folder), "scores": str(folder / "scores.csv.gz"), "feedback": "alpha",
        "judge": {"model": "b" * 16}, "validation_tasks": [ALL[0].name], "test_tasks": [ALL[1].name],
    }  # fmt: skip
    return Config(**{**values, **changes})


def test_tasks_are_split_as_named_and_models_are_found_by_name_or_hash(folder):
    found = source.load_source(config_of(folder))
    assert {part: [task.name for task in tasks] for part, tasks in found.tasks.items()} == {
        "train": sorted(task.name for task in ALL[2:]), "validation": [ALL[0].name], "test": [ALL[1].name],
    }  # fmt: skip
    assert (found.feedback, found.judge) == ("a" * 16, "b" * 16)
    assert len(source.files(config_of(folder))) == 3 * len(ALL) + 1


def test_the_domain_names_its_files_and_places(folder):
    config = config_of(folder)
    assert len(DOMAIN.data_files(config)) == 3 * len(ALL) + 1
    assert {"path", "scores"} == set(DOMAIN.location_keys)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"path": None}, "env.path"),
        ({"scores": None}, "env.scores"),
        ({"path": "missing"}, "does not exist"),
        ({"feedback": None}, "env.feedback"),
        ({"judge": JudgeConfig()}, "env.judge.model"),
        ({"judge": JudgeConfig(model="gamma")}, "alpha-1B"),
        ({"judge": JudgeConfig(model="")}, "several models"),
        ({"judge": JudgeConfig(model="models/gamma.gguf")}, "no such file"),
        ({"judge": JudgeConfig(model="ALPHA")}, "the same language model"),
        ({"test_tasks": ["wether"]}, "weather"),
        ({"test_tasks": [ALL[0].name]}, "twice"),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(folder, changes, named):
    config = config_of(folder).model_copy(update=changes)
    with pytest.raises(InputError, match=named) as caught:
        source.load_source(config)
    assert "\n" not in str(caught.value)


def test_a_folder_without_tasks_is_one_sentence(folder, tmp_path):
    with pytest.raises(InputError, match=r"task\.json"):
        source.load_source(config_of(folder, path=str(tmp_path)))
