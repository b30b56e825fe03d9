"""Language models that score what a table lacks: once, resumed, by a file or an endpoint, and the judge last."""

import json
import os
from math import log

import numpy as np
import pytest

from rl_eval.domains.prompt import DOMAIN, metrics
from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.environment import dataset, language_models, source, states
from rl_eval.domains.prompt.scoring import collect as collecting
from rl_eval.domains.prompt.scoring.collect import collect, jobs_of
from rl_eval.domains.prompt.scoring.language_model import model_hash
from rl_eval.domains.prompt.scoring.scores import Score, ScoreTable
from rl_eval.domains.prompt.tasks.starts import starts
from rl_eval.domains.prompt.tasks.task import read_task
from rl_eval.errors import InputError
from tests.domains.prompt.environment.test_source import ALL, write_task
from tests.domains.prompt.scoring.fake_endpoint import endpoint, message
from tests.domains.prompt.synthetic_tasks import noise

VALIDATION, TEST = ALL[0].name, ALL[1].name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder `prompts` whose folder `tasks` has five tasks of one start each, and two model files."""
    for module in (states, collecting):
        monkeypatch.setattr(module, "starts", lambda task: starts(task)[:1])
    monkeypatch.setattr(os, "fsync", lambda file: None)
    monkeypatch.setattr(dataset, "load_source", source.load_source)
    (tmp_path / "prompts" / "tasks").mkdir(parents=True)
    for task in ALL:
        write_task(task, tmp_path / "prompts" / "tasks" / task.name)
    for name in ("feedback", "judge"):
        (tmp_path / f"{name}.gguf").write_bytes(f"GGUF {name}".encode())
    return tmp_path


@pytest.fixture
def scored(monkeypatch):
    """Model and task of each prompt that a stand-in for language models has scored; `limit` interrupts it."""

    class Scored(list):
        limit = None

    calls = Scored()

    def collect_with_file(out, model, jobs, workers, report):
        class Scorer:
            hash, name = model_hash(model), model.name

            def score(self, prompt, task):
                if len(calls) == calls.limit:
                    raise KeyboardInterrupt
                calls.append((model.stem, task.name))
                assert len(task.test) == 4
                return Score(-1.0, -noise(prompt, task.name, model.stem), 0.5, 0.5)

        collect(out, Scorer(), jobs, report)

    monkeypatch.setattr(language_models, "collect_with_file", collect_with_file)
    monkeypatch.setattr(language_models, "require_extra", lambda *arguments: None)
    return calls


def config_of(folder, **changes):
    values = {
        "tasks": "folder", "path": str(folder / "prompts"), "scores": str(folder / "new" / "scores.jsonl"), "items": 4,
        "feedback": str(folder / "feedback.gguf"), "judge": {"model": str(folder / "judge.gguf")},
        "validation_tasks": [VALIDATION], "test_tasks": [TEST],
    }  # fmt: skip
    return Config(**{**values, **changes})


def prompts_of(folder, names):
    return len(jobs_of(read_task(folder / "prompts" / "tasks" / name) for name in names))


def test_prompts_are_scored_when_they_are_needed_and_once(folder, scored):
    config = config_of(folder)
    DOMAIN.fingerprints(config), DOMAIN.case_observations(config, "test"), DOMAIN.cases(config, "train")
    assert not scored
    training = sorted(task.name for task in ALL[2:])
    dataset.load_part(config, "train")
    assert set(scored) == {("feedback", name) for name in training}
    assert len(scored) == prompts_of(folder, training)
    before = len(scored)
    prompts = dataset.load_part(config, "test")
    assert set(scored[before:]) == {("feedback", TEST), ("judge", TEST)}
    assert len(scored) - before == 2 * prompts_of(folder, [TEST])
    assert not np.isnan(prompts.scores["judge"][prompts.states.can_reach]).any()
    for part in ("train", "test"):
        dataset.load_part(config, part)
    assert len(scored) - before == 2 * prompts_of(folder, [TEST])


def test_an_interrupted_job_goes_on_and_scores_nothing_twice(folder, scored):
    config = config_of(folder)
    scored.limit = 9
    with pytest.raises(KeyboardInterrupt):
        dataset.load_part(config, "train")
    scored.limit = None
    dataset.load_part(config, "train")
    assert len(scored) == prompts_of(folder, [task.name for task in ALL[2:]])


def test_fingerprints_are_of_prompts_items_and_models_and_not_of_what_is_scored(folder, scored):
    config = config_of(folder)
    before = DOMAIN.fingerprints(config)
    dataset.load_part(config, "test")
    assert DOMAIN.fingerprints(config) == before
    assert DOMAIN.fingerprints(config_of(folder, items=3)) != before
    (folder / "other.gguf").write_bytes(b"GGUF other")
    others = DOMAIN.fingerprints(config_of(folder, judge={"model": str(folder / "other.gguf")}))
    assert {part: others[part] == before[part] for part in before} == {
        "train": True,
        "validation": False,
        "test": False,
    }


def test_a_table_that_a_file_made_needs_the_file_no_more(folder, scored):
    config = config_of(folder)
    expected = dataset.load_part(config, "test").scores["judge"]
    for name in ("feedback", "judge"):
        (folder / f"{name}.gguf").unlink()
    np.testing.assert_array_equal(dataset.load_part(config, "test").scores["judge"], expected)
    by_name = dataset.load_part(config_of(folder, feedback="feed", judge={"model": "jud"}), "test")
    np.testing.assert_array_equal(by_name.scores["judge"], expected)


def by_label(request, number):
    return message("middle" if number % 3 else "yes")


def judged_by(folder, url, **changes):
    return config_of(folder, judge={"base_url": url, "model": "m", "score": "accuracy", **changes})


def test_an_endpoint_judges_by_accuracy_within_its_budget(folder, scored):
    with endpoint(by_label) as (url, requests):
        config = judged_by(folder, url, calls=20)
        with pytest.raises(InputError, match="budget of 20 calls"):
            dataset.load_part(config, "test")
        assert len(requests) == 20
        prompts = dataset.load_part(judged_by(folder, url), "test")
    judge = prompts.scores["judge"][prompts.states.can_reach]
    assert ((judge >= 0) & (judge <= 1)).all()
    np.testing.assert_array_equal(judge, prompts.scores["accuracy"][prompts.states.can_reach])
    assert len(requests) <= 20 + 4 * prompts_of(folder, [TEST])  # what was answered before is not asked again
    repeated, different = dataset.load_judge_repeats(judged_by(folder, url))
    assert repeated == 6
    assert 0 < different <= 6


def test_an_endpoint_judges_by_log_probabilities(folder, scored):
    with endpoint(lambda request, number: message("yes", {"yes": log(0.7), "no": log(0.3)})) as (url, _):
        prompts = dataset.load_part(judged_by(folder, url, score="logprob"), "test")
    judge = prompts.scores["judge"][prompts.states.can_reach]
    np.testing.assert_allclose(judge, log(0.5), atol=1e-4)  # calibrated: equal for every input, so it says nothing


def test_an_endpoint_without_log_probabilities_or_key_is_one_sentence(folder, scored, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with endpoint(by_label) as (url, _), pytest.raises(InputError, match="score=accuracy"):
        dataset.load_part(judged_by(folder, url, score="logprob"), "test")
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        dataset.load_part(judged_by(folder, "https://api.example.com/v1"), "test")


def test_a_judge_behind_an_endpoint_needs_trust(folder):
    assert "judge.base_url" in DOMAIN.needs_trust(judged_by(folder, "https://api.example.com/v1"))
    assert DOMAIN.needs_trust(config_of(folder)) is None


def test_a_missing_extra_is_one_sentence(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with pytest.raises(InputError, match=r"rl_eval\[llm\]"):
        dataset.load_part(config_of(folder), "train")
    assert not (folder / "new").exists()


def test_nothing_is_added_to_a_compact_table(folder, scored):
    compact = folder / "table.csv.gz"
    ScoreTable().write(compact)
    content = compact.read_bytes()
    with pytest.raises(InputError, match="JSON lines"):
        dataset.load_part(config_of(folder, scores=str(compact)), "train")
    assert compact.read_bytes() == content


def test_flicker_is_a_metric_of_the_run(folder, scored, monkeypatch):
    class OfRun:
        config = None

    monkeypatch.setattr("rl_eval.run.environment_of", lambda run: run.config)
    run = OfRun()
    run.config = config_of(folder)
    assert metrics.judge_flicker(run) == 0
    with endpoint(by_label) as (url, _):
        run.config = judged_by(folder, url)
        with pytest.raises(InputError, match="sent twice"):
            metrics.judge_flicker(run)
        dataset.load_part(run.config, "test")
        repeated, different = dataset.load_judge_repeats(run.config)
        assert metrics.judge_flicker(run) == pytest.approx(different / repeated)


def test_damaged_repeats_are_one_sentence(folder):
    (folder / "s.jsonl").write_text(json.dumps({"model": "m", "name": "n", "repeats": [3]}) + "\n")
    with pytest.raises(InputError, match="damaged"):
        ScoreTable.load(folder / "s.jsonl")
