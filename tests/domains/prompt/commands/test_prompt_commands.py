"""`rl-eval prompt`: tables that are resumed, tasks of one's own, comparisons, and bad input as one sentence."""

import json
import re
from typing import ClassVar

import numpy as np
import pytest

from rl_eval.cli import main
from rl_eval.domains import DOMAINS
from rl_eval.domains.prompt.commands import judge_choice
from rl_eval.domains.prompt.commands import score as score_command
from rl_eval.domains.prompt.commands.compare import compare_prompts
from rl_eval.domains.prompt.commands.init_task import TRAIN_SHARE
from rl_eval.domains.prompt.scoring import judge as scoring_judge
from rl_eval.domains.prompt.scoring import processes
from rl_eval.domains.prompt.scoring.collect import jobs_of
from rl_eval.domains.prompt.scoring.scores import Score, ScoreTable
from rl_eval.domains.prompt.tasks.embedded import embedded_tasks
from rl_eval.domains.prompt.tasks.task import Item, Task, read_task
from rl_eval.errors import InputError
from rl_eval.formatting import escape_controls
from tests.domains.prompt.scoring.fake_endpoint import endpoint, message

pytestmark = pytest.mark.skipif("prompt" not in DOMAINS, reason="env=prompt is not installed as an entry point")

ITEMS = tuple(Item(f"text {i}", "yes" if i % 2 else "no") for i in range(200))


class FakeJudge:
    """A judge whose values follow from the prompt: its length, plus noise that both prompts share."""

    name, measure, low, high = "fake", "value", 0.0, 1.0

    def __init__(self):
        self.calls = 0

    def calls_of(self, items):
        return items

    def values(self, prompt, task, items):
        self.calls += len(items)
        return np.array([min(1.0, len(prompt) / 100 + hash(item.text) % 7 / 100) for item in items])


@pytest.fixture
def task_folder(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    content = {"name": "demo", "labels": ["yes", "no"], "instruction": "Answer yes or no."}
    (folder / "task.json").write_text(json.dumps(content))
    (folder / "train.csv").write_text("text,label\na b,yes\nc d,no\n")
    (folder / "test.csv").write_text("text,label\n" + "".join(f"{item.text},{item.label}\n" for item in ITEMS))
    return folder


@pytest.fixture
def fake_model(monkeypatch, tmp_path):
    """A model file, and the prompts that a stand-in for it has scored."""
    scored = []

    class FakeModel:
        def __init__(self, path):
            self.hash, self.name = "0123456789abcdef", path.name

        def score(self, prompt, task):
            scored.append(prompt)
            if len(scored) == FakeModel.interrupt_at:
                raise KeyboardInterrupt
            return Score(-1.0, -0.5, 0.5, 0.75)

        interrupt_at = None

    monkeypatch.setattr(processes, "LanguageModel", FakeModel)
    monkeypatch.setattr(score_command, "model_hash", lambda path: "0123456789abcdef")
    monkeypatch.setattr(score_command, "require_extra", lambda *arguments: None)
    return FakeModel, scored, str(tmp_path / "model.gguf")


def test_an_interrupted_table_is_resumed_and_written_compactly(fake_model, task_folder, tmp_path, capsys):
    model, scored, path = fake_model
    out, compact = tmp_path / "scores.jsonl", tmp_path / "scores.csv.gz"
    command = ["prompt", "score", "--model", path, "--tasks", str(task_folder), "--out", str(out)]
    jobs = jobs_of([read_task(task_folder)])
    model.interrupt_at = 7
    assert main(command) == 130
    assert len(ScoreTable.load(out).scores) == 6
    model.interrupt_at = None
    assert main([*command, "--compact", str(compact)]) == 0
    assert len(scored) == len(jobs) + 1
    table = ScoreTable.load(compact)
    assert all(table.holds(prompt, task, model(tmp_path / "m").hash) for prompt, task in jobs)
    assert "rl-eval prompt score" in table.command
    assert main(command) == 0
    assert len(scored) == len(jobs) + 1


def test_prompts_with_one_mutation_are_scored_first():
    tasks = embedded_tasks()[:1]
    jobs = jobs_of(tasks)
    assert len(jobs) == len(set(jobs))
    assert len(jobs) > 25
    short = sum(len(prompt) for prompt, _ in jobs[:10]) / 10
    assert short < sum(len(prompt) for prompt, _ in jobs) / len(jobs)


def test_a_task_is_made_of_a_csv(tmp_path, capsys):
    rows = [f'"item {i}, with a comma",{"urgent" if i % 2 else "routine"}' for i in range(20)]
    (tmp_path / "tickets.csv").write_text(
        "label_no,text,label\n" + "".join(f"{i},{row}\n" for i, row in enumerate(rows))
    )
    assert main(["prompt", "init-task", str(tmp_path / "tickets.csv")]) == 0
    task = read_task(tmp_path / "tickets")
    assert set(task.labels) == {"urgent", "routine"}
    assert len(task.train) == round(TRAIN_SHARE * 20)
    assert {item.text for item in task.train}.isdisjoint({item.text for item in task.test})
    assert len(task.train) + len(task.test) == 20
    assert main(["prompt", "init-task", str(tmp_path / "tickets.csv")]) == 2  # the folder exists
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tickets", "tickets.csv"]


def test_items_of_one_label_make_no_task_and_leave_nothing(tmp_path, capsys):
    (tmp_path / "x.csv").write_text("text,label\n" + "".join(f"a{i},yes\n" for i in range(9)) + "b,no\n")
    assert main(["prompt", "init-task", str(tmp_path / "x.csv")]) == 2
    assert "'no'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_items_with_contradicting_labels_make_no_task_and_repeated_ones_count_once(tmp_path, capsys):
    rows = [f"item {i},{'urgent' if i % 2 else 'routine'}" for i in range(20)]
    path = tmp_path / "tickets.csv"
    path.write_text("\n".join(["text,label", *rows, "item  3,routine"]))
    assert main(["prompt", "init-task", str(path)]) == 2
    error = capsys.readouterr().err.replace("\n", " ")
    assert "row 4" in error
    assert "row 21" in error
    assert [path.name for path in tmp_path.iterdir()] == ["tickets.csv"]
    path.write_text("\n".join(["text,label", *rows, "item  3,urgent"]))
    assert main(["prompt", "init-task", str(path)]) == 0
    assert "1 row" in capsys.readouterr().out
    task = read_task(tmp_path / "tickets")
    assert len(task.train) + len(task.test) == 20
    assert task.left_out == ""


def test_copies_of_an_item_are_no_evidence(task_folder, tmp_path, capsys):
    (tmp_path / "old.txt").write_text("Guess.")
    (tmp_path / "new.txt").write_text("Answer yes or no.")
    (task_folder / "test.csv").write_text("text,label\n" + "one,yes\ntwo,no\n" * 100)

    def answer(request, number):
        text = request["messages"][-1]["content"]
        return message("?" if text.startswith("Guess") else "yes" if "one" in text else "no")

    with endpoint(answer) as (url, _):
        command = ["prompt", "compare", str(tmp_path / "old.txt"), str(tmp_path / "new.txt"), "--base-url", url]
        assert main([*command, "--task", str(task_folder), "--model", "m", "--score", "accuracy"]) == 1
    printed = capsys.readouterr()
    assert "INCONCLUSIVE" in printed.out
    assert "2 of 2 items" in printed.out
    assert "198 rows" in printed.err


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (InputError("the budget is used up"), 2)])
def test_an_interrupted_comparison_says_what_it_has_seen(error, status, task_folder, tmp_path, capsys, monkeypatch):
    class Interrupted(FakeJudge):
        def values(self, prompt, task, items):
            if self.calls == 6:
                raise error
            return super().values(prompt, task, items)

    (tmp_path / "old.txt").write_text("Guess.")
    (tmp_path / "new.txt").write_text("Answer yes or no.")
    monkeypatch.setattr(judge_choice, "choose_judge", lambda *arguments: Interrupted())
    command = ["prompt", "compare", str(tmp_path / "old.txt"), str(tmp_path / "new.txt"), "--task", str(task_folder)]
    assert main([*command, "--model", "m"]) == status
    printed = capsys.readouterr().out
    assert printed.startswith("INCONCLUSIVE")
    assert "3 of 200 items" in printed
    assert "--cache" in printed


def test_answers_of_a_model_file_are_kept(task_folder, tmp_path, capsys, monkeypatch):
    class FakeModel:
        evaluated: ClassVar[list] = []

        def __init__(self, path, threads):
            self.hash, self.name = "0123456789abcdef", path.name

        def label_probabilities(self, prompt, labels, texts):
            FakeModel.evaluated += [(prompt, text) for text in texts]
            return np.array([[0.75, 0.25] if prompt == "Guess." else [0.6, 0.4] for _ in texts])

    monkeypatch.setattr(scoring_judge, "LanguageModel", FakeModel)
    (tmp_path / "old.txt").write_text("Guess.")
    (tmp_path / "new.txt").write_text("Answer yes or no.")
    cache = tmp_path / "answers.jsonl"
    command = ["prompt", "compare", str(tmp_path / "old.txt"), str(tmp_path / "new.txt"), "--task", str(task_folder),
               "--model", str(tmp_path / "m.gguf"), "--cache", str(cache)]  # fmt: skip
    assert main(command) == 1
    first, asked = capsys.readouterr().out, len(FakeModel.evaluated)
    assert asked == len(set(FakeModel.evaluated)) == 2 * (len(ITEMS) + 3)
    assert main(command) == 1
    assert len(FakeModel.evaluated) == asked
    assert capsys.readouterr().out.splitlines()[:2] == first.splitlines()[:2]
    cache.write_text(re.sub(r"\[.*?\]", "[0.5, 7.0]", cache.read_text()))
    assert main(command) == 2
    assert "--cache" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--budget-money", "1"], ["--budget-money", "1", "--price-in", "inf"],
                                     ["--price-out", "nan"], ["--alpha", "nan"], ["--cache", "notes.md"]])  # fmt: skip
def test_what_limits_nothing_or_is_no_file_of_ours_is_one_sentence(options, task_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("old.txt", "new.txt", "notes.md"):
        (tmp_path / name).write_text(f"# {name}\n")
    with endpoint(lambda request, number: message("yes")) as (url, requests):
        command = ["prompt", "compare", "old.txt", "new.txt", "--task", str(task_folder), "--base-url", url]
        assert main([*command, "--model", "m", "--score", "accuracy", *options]) == 2
        assert requests == []
    assert "Traceback" not in capsys.readouterr().err
    assert (tmp_path / "notes.md").read_text() == "# notes.md\n"


@pytest.mark.parametrize("option", ["--out", "--compact"])
def test_scores_are_not_written_over_a_file_of_something_else(option, fake_model, task_folder, tmp_path, capsys):
    _, scored, path = fake_model
    other = tmp_path / "notes.csv"
    other.write_text("my,data\n1,2\n")
    command = ["prompt", "score", "--model", path, "--tasks", str(task_folder), "--out", str(tmp_path / "s.jsonl")]
    assert main([*command, option, str(other)]) == 2
    assert "notes.csv" in capsys.readouterr().err.replace("\n", "")
    assert other.read_text() == "my,data\n1,2\n"
    assert scored == []


def test_a_comparison_stops_early_and_counts_what_it_saved():
    task = Task("demo", "other", ("yes", "no"), "Answer yes or no.", ITEMS[:2], ITEMS)
    for old, new, decision in (("a" * 10, "b" * 80, "PASS"), ("a" * 80, "b" * 10, "FAIL")):
        judge = FakeJudge()
        comparison = compare_prompts(old, new, task, judge)
        assert comparison.result.decision == decision
        assert comparison.result.units < len(ITEMS) / 2
        assert comparison.calls == judge.calls == 2 * comparison.result.units
        assert comparison.calls + comparison.calls_saved == 2 * len(ITEMS)
    same = compare_prompts("a" * 10, "b" * 10, task, FakeJudge())
    assert same.result.decision == "INCONCLUSIVE"
    assert same.calls_saved == 0


def test_on_a_set_the_true_difference_decides_at_the_end():
    task = Task("demo", "other", ("yes", "no"), "Answer yes or no.", ITEMS[:2], ITEMS[:6])
    comparison = compare_prompts("a" * 10, "b" * 11, task, FakeJudge(), population=True)
    assert comparison.result.decision == "PASS"


def test_two_prompts_are_compared_by_an_endpoint(task_folder, tmp_path, capsys):
    (tmp_path / "old.txt").write_text("Guess.")
    (tmp_path / "new.txt").write_text("Answer yes or no.")

    def answer(request, number):
        text = request["messages"][-1]["content"]
        if text.startswith("Guess"):
            return message("I do not know")
        return message("yes" if int(re.search(r"text (\d+)", text)[1]) % 2 else "no")

    command = ["prompt", "compare", str(tmp_path / "old.txt"), str(tmp_path / "new.txt"), "--task", str(task_folder)]
    with endpoint(answer) as (url, requests):
        assert main([*command, "--base-url", url, "--model", "m", "--score", "accuracy"]) == 0
        printed = capsys.readouterr().out
        assert len(requests) < len(ITEMS)
        command[2:4] = command[3:1:-1]
        assert main([*command, "--base-url", url, "--model", "m", "--score", "accuracy"]) == 1
        assert capsys.readouterr().out.startswith("FAIL")
        (tmp_path / "new.txt").write_text("Answer with yes or no.")
        (tmp_path / "old.txt").write_text("Answer yes or no.")
        assert main([*command, "--base-url", url, "--model", "m", "--score", "accuracy"]) == 1
        assert capsys.readouterr().out.startswith("INCONCLUSIVE")
    assert printed.startswith("PASS")
    assert "saved" in printed


def bad_prompts():
    return {
        "empty": b" \n", "latin-1": "Gr\u00fc\u00dfe".encode("latin-1"), "long": b"word " * 4_000,
        "long in two-byte letters": "\u00fc".encode() * (8 << 10) + b"x", "cut": b"x" * 50 + b"\xc3",
    }  # fmt: skip


@pytest.mark.parametrize("name", [*bad_prompts(), "missing", "folder"])
def test_a_bad_prompt_is_one_sentence(name, task_folder, tmp_path, capsys):
    path = tmp_path / "prompt.txt"
    if name == "folder":
        path.mkdir()
    elif name != "missing":
        path.write_bytes(bad_prompts()[name])
    (tmp_path / "other.txt").write_text("Answer.")
    command = ["prompt", "compare", str(tmp_path / "other.txt"), str(path), "--task", str(task_folder)]
    assert main([*command, "--base-url", "http://127.0.0.1:9", "--model", "m"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "prompt.txt" in error.replace("\n", "")


@pytest.mark.parametrize(
    "options",
    [
        [], ["--model", "missing.gguf"], ["--base-url", "https://api.example.com/v1", "--model", "m"],
        ["--base-url", "nowhere", "--model", "m"], ["--model", "m", "--score", "accuracy"],
        ["--base-url", "http://127.0.0.1:9", "--model", "m", "--score", "guess"],
        ["--base-url", "http://127.0.0.1:9", "--model", "m", "--population", "all"],
    ],
)  # fmt: skip
def test_a_judge_that_cannot_be_asked_is_one_sentence(options, task_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "old.txt").write_text("Guess.")
    (tmp_path / "new.txt").write_text("Answer.")
    command = ["prompt", "compare", str(tmp_path / "old.txt"), str(tmp_path / "new.txt"), "--task", str(task_folder)]
    assert main([*command, *options]) == 2
    error = capsys.readouterr().err
    assert error
    assert "Traceback" not in error


def test_a_missing_extra_is_one_sentence(task_folder, tmp_path, capsys, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "old.txt").write_text("Guess.")
    (tmp_path / "new.txt").write_text("Answer.")
    command = ["prompt", "compare", str(tmp_path / "old.txt"), str(tmp_path / "new.txt"), "--task", str(task_folder)]
    assert main([*command, "--model", str(tmp_path / "m.gguf")]) == 2
    assert "rl_eval[llm]" in capsys.readouterr().err
    assert judge_choice.judge_facts(FakeJudge()) == []


def test_a_file_that_is_no_model_is_one_sentence(tmp_path, capsys):
    (tmp_path / "m.gguf").write_bytes(b"no model")
    assert main(["prompt", "score", "--model", str(tmp_path / "m.gguf"), "--out", str(tmp_path / "s.jsonl")]) == 2
    assert "GGUF" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_an_unknown_task_names_the_nearest_and_acts_on_no_terminal(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("Guess.")
    for name in ("film-review", "\x1b[31mx"):
        assert main(["prompt", "compare", *[str(tmp_path / "a.txt")] * 2, "--task", name, "--model", "m"]) == 2
        error = capsys.readouterr().err
        assert escape_controls(error, keep="\n") == error
        assert "emotions" in error.replace("\n", "")


def test_what_a_process_cannot_do_is_one_sentence_here(task_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(score_command, "require_extra", lambda *arguments: None)
    (tmp_path / "m.gguf").write_bytes(b"GGUF, but nothing else")
    command = ["prompt", "score", "--model", str(tmp_path / "m.gguf"), "--tasks", str(task_folder), "--workers", "2"]
    assert main([*command, "--out", str(tmp_path / "scores.jsonl")]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "llm" in error or "cannot be loaded" in error
    assert not (tmp_path / "scores.jsonl").exists()
