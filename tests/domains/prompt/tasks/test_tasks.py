"""Tasks of a folder are checked; the embedded ones are split by task and balanced; starts of all kinds exist."""

import json
from collections import Counter
from pathlib import Path

import pytest

from rl_eval.domains.prompt.environment.plain_features import PROMPT_FEATURES, prompt_features
from rl_eval.domains.prompt.tasks.embedded import PARTS, embedded_part, embedded_tasks
from rl_eval.domains.prompt.tasks.starts import KINDS, starts
from rl_eval.domains.prompt.tasks.task import read_task, with_items
from rl_eval.domains.prompt.text.mutations import legal, mutate, reachable
from rl_eval.domains.prompt.text.parts import is_regular
from rl_eval.errors import InputError

PUBLIC = Path(__file__).resolve().parents[5] / "shared/data/prompts/tasks"


def write(folder, **changes):
    content = {"name": "demo", "labels": ["yes", "no"], "instruction": "Answer yes or no."}
    folder.mkdir()
    (folder / "task.json").write_text(json.dumps({**content, **changes}))
    (folder / "train.csv").write_text("text,label\na b,yes\nc d,no\n")
    (folder / "test.csv").write_text('text,label\n"e, f",yes\n')
    return folder


def test_a_task_is_read(tmp_path):
    task = read_task(write(tmp_path / "demo"))
    assert (task.labels, task.category, task.test[0].text) == (("yes", "no"), "other", "e, f")
    assert task.right().tolist() == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../x"}, {"name": 3}, {"labels": ["yes"]}, {"labels": ["yes", "yes"]}, {"labels": ["yes", "n{o}"]},
        {"labels": ["yes", "no\n"]}, {"labels": ["yes", 2]}, {"labels": "yes"}, {"labels": ["yes", "maybe"]},
        {"instruction": ""}, {"instruction": "a\nb"}, {"instruction": "x" * 501}, {"category": "unknown"},
    ],
)  # fmt: skip
def test_bad_values_are_one_sentence(tmp_path, changes):
    with pytest.raises(InputError, match="task"):
        read_task(write(tmp_path / "demo", **changes))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("task.json", b"{"), ("task.json", b"[]"), ("task.json", b"[" * 100_000), ("task.json", b"\xff"),
        ("test.csv", b"text,label\n"), ("test.csv", b"a,b\n1,2\n"), ("test.csv", b'text,label\n"open,yes\n'),
        ("train.csv", b"text,label\n ,yes\n"), ("train.csv", b"text,label\nx\n"), ("train.csv", b"\xff\xfe"),
        ("train.csv", b"text,label\n" + b"x" * 2001 + b",yes\n"), ("test.csv", None),
    ],
)  # fmt: skip
def test_damaged_files_are_one_sentence(tmp_path, name, content):
    folder = write(tmp_path / "demo")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError):
        read_task(folder)


def with_rows(folder, *, train="a b,yes\nc d,no\n", test):
    write(folder)
    (folder / "train.csv").write_text(f"text,label\n{train}")
    (folder / "test.csv").write_text(f"text,label\n{test}", newline="")
    return folder


def test_an_item_counts_once_and_none_that_prompts_may_show_is_scored(tmp_path):
    once = read_task(with_rows(tmp_path / "once", test="e,yes\nf,no\n"))
    rows = "e,yes\nf,no\n" + "e,yes\n e ,yes\n" * 50 + "a  b,yes\n"
    task = read_task(with_rows(tmp_path / "demo", train="a b,yes\nc d,no\na b,yes\n", test=rows))
    assert task == once
    assert task.item_set_hash() == once.item_set_hash()
    assert once.left_out == ""
    assert "100 rows" in task.left_out
    assert "1 test item" in task.left_out


@pytest.mark.parametrize(
    ("train", "test", "row"),
    [
        ("a b,yes\nc d,no\n", "e,yes\nf,no\ne,no\n", "row 3 of test.csv"),
        ("a b,yes\nc d,no\n", "e,yes\na  b,no\n", "row 2 of test.csv"),
        ("a b,yes\na b,no\n", "e,yes\n", "row 2 of train.csv"),
    ],
)
def test_one_text_with_two_labels_is_refused_by_its_row(tmp_path, train, test, row):
    with pytest.raises(InputError, match=row):
        read_task(with_rows(tmp_path / "demo", train=train, test=test))


def test_a_task_whose_items_are_all_shown_is_refused(tmp_path):
    with pytest.raises(InputError, match="train"):
        read_task(with_rows(tmp_path / "demo", test="a b,yes\nc d,no\n"))


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c"])
def test_only_line_ends_of_csv_end_a_row(tmp_path, mark):
    folder = with_rows(tmp_path / "demo", test=f"e{mark}f,yes\r\ng,no\r\n")
    assert [(item.text, item.label) for item in read_task(folder).test] == [(f"e{mark}f", "yes"), ("g", "no")]


def test_the_items_of_embedded_tasks_are_all_kept():
    assert all(task.left_out == "" for task in embedded_tasks())
    assert {len(task.test) for task in embedded_tasks()} == {12}


def test_the_item_set_is_the_labels_and_the_test_items(tmp_path):
    first, renamed = read_task(write(tmp_path / "a")), read_task(write(tmp_path / "b", name="other"))
    assert first.item_set_hash() == renamed.item_set_hash()
    other_order = read_task(write(tmp_path / "c", labels=["no", "yes"]))
    assert first.item_set_hash() != other_order.item_set_hash()


def test_fewer_items_are_the_first_of_each_label_in_turn():
    task = next(task for task in embedded_tasks() if len(task.labels) == 3)
    few = with_items(task, 7)
    counts = Counter(item.label for item in few.test)
    assert sorted(counts.values()) == [2, 2, 3]
    for label in task.labels:
        own = [item for item in task.test if item.label == label]
        assert [item for item in few.test if item.label == label] == own[: counts[label]]
    assert with_items(task, 10_000) == task
    assert few.item_set_hash() != task.item_set_hash()


def test_embedded_tasks_are_split_by_task_and_balanced():
    names = [task.name for part in PARTS for task in embedded_part(part)]
    assert sorted(names) == [task.name for task in embedded_tasks()]
    assert [len(embedded_part(part)) for part in PARTS] >= [12, 4, 8]
    for task in embedded_tasks():
        for items, least in ((task.train, 6), (task.test, 12)):
            counts = Counter(item.label for item in items)
            assert set(counts) == set(task.labels)
            assert len(set(counts.values())) == 1
            assert len(items) >= least
        assert {item.text for item in task.train}.isdisjoint({item.text for item in task.test})


def test_categories_of_held_out_tasks_occur_in_training():
    trained = {task.category for task in embedded_part("train")}
    assert {task.category for part in ("validation", "test") for task in embedded_part(part)} <= trained


def test_embedded_starts_are_of_all_kinds_and_can_be_changed():
    texts = [start.text for task in embedded_tasks() for start in starts(task)]
    assert len(texts) == len(set(texts)) >= 48
    kinds = Counter(start.kind for task in embedded_tasks() for start in starts(task))
    assert set(kinds) == set(KINDS)
    assert kinds["terse"] == kinds["padded"] == len(embedded_tasks())
    for task in embedded_tasks():
        for start in starts(task):
            assert is_regular(start.text)
            assert sum(legal(start.text, task)) >= 3
            assert len(set(reachable(start.text, task))) >= 8


def test_a_context_is_needed_outdated_or_absent_and_reduction_takes_it_away():
    seen = Counter()
    for task in embedded_tasks():
        for start in starts(task):
            before, after = (_context(text, task) for text in (start.text, mutate(start.text, "reduction", task)))
            seen[before] += 1
            assert sum(before) <= 1
            assert after == (0, 0)
    assert set(seen) == {(0, 0), (1, 0), (0, 1)}
    assert min(seen.values()) >= 25


def _context(text, task):
    features = prompt_features(text, task)
    return tuple(int(features[PROMPT_FEATURES.index(name)]) for name in ("needs_context", "outdated_context"))


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="needs ../shared/data/prompts/tasks")
def test_public_tasks_have_starts_of_all_kinds():
    for folder in sorted(PUBLIC.iterdir()):
        if folder.is_dir():
            task = read_task(folder)
            assert task.left_out == ""
            assert [start.kind for start in starts(task)] == list(KINDS)
            assert all(is_regular(start.text) and any(legal(start.text, task)) for start in starts(task))
