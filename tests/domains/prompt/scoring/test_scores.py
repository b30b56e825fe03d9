"""Scores of label probabilities, and tables of them: what is not there is an error, and damage is one sentence."""

import gzip
from dataclasses import astuple
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.prompt.scoring.scores import (
    LEAST_PROBABILITY,
    Score,
    ScoreTable,
    append,
    calibrate,
    prompt_hash,
    score_labels,
)
from rl_eval.domains.prompt.tasks.embedded import embedded_tasks
from rl_eval.errors import InputError

TASK = embedded_tasks()[0]
MODEL = "0123456789abcdef"


def test_a_score_worked_by_hand():
    # two items, two labels; the content-free input prefers the first label four to one
    score = score_labels(np.array([[0.8, 0.2], [0.5, 0.5]]), np.array([0.8, 0.2]), np.array([0, 1]))
    assert score.log_likelihood == pytest.approx((log(0.8) + log(0.5)) / 2, abs=1e-5)
    assert score.calibrated == pytest.approx((log(0.5) + log(0.8)) / 2, abs=1e-5)
    assert (score.accuracy, score.calibrated_accuracy) == (0.5, 1.0)


def test_a_confident_error_counts_as_much_as_the_least_probability():
    score = score_labels(np.array([[1.0, 1e-12]]), np.array([0.5, 0.5]), np.array([1]))
    assert score.log_likelihood == pytest.approx(log(LEAST_PROBABILITY), abs=1e-5)


@given(st.lists(st.floats(1e-3, 1), min_size=3, max_size=3), st.floats(0.1, 10))
def test_calibration_by_a_uniform_prior_changes_nothing_and_scale_does_not_matter(row, scale):
    rows = np.array([row])
    calibrated = calibrate(rows * scale, np.ones(3) * scale)
    np.testing.assert_allclose(calibrated, rows / rows.sum())


def entries(count):
    return [((prompt_hash(f"p{i}"), TASK.item_set_hash(), MODEL), Score(-i, -0.5, 0.25, 1.0)) for i in range(count)]


def test_a_table_is_the_same_from_lines_and_from_the_compact_file(tmp_path):
    lines, compact = tmp_path / "scores.jsonl", tmp_path / "scores.csv.gz"
    append(lines, entries(2), {MODEL: "m.gguf"})
    append(lines, entries(4)[2:], {MODEL: "m.gguf"})
    table = ScoreTable.load(lines)
    table.command = "made by hand"
    table.write(compact)
    assert ScoreTable.load(compact) == table
    assert table.scores == dict(entries(4))
    first = compact.read_bytes()
    table.write(compact)
    assert compact.read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv.gz", "scores.jsonl"]


def test_a_line_that_was_cut_off_is_dropped_and_the_next_one_stands_alone(tmp_path):
    path = tmp_path / "scores.jsonl"
    append(path, entries(2), {MODEL: "m"})
    path.write_bytes(path.read_bytes()[:-9])
    assert len(ScoreTable.load(path).scores) == 1
    append(path, entries(3)[2:], {MODEL: "m"})
    assert len(ScoreTable.load(path).scores) == 2


def test_what_is_not_in_the_table_is_an_error(tmp_path):
    table = ScoreTable(dict(entries(1)))
    assert astuple(table.get("p0", TASK, MODEL)) == (0, -0.5, 0.25, 1.0)
    for prompt, model in (("other", MODEL), ("p0", "f" * 16)):
        assert not table.holds(prompt, TASK, model)
        with pytest.raises(InputError, match="no score"):
            table.get(prompt, TASK, model)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe", b"\x1f\x8b\x08rest", b"# {}\n", b"[]\n", b'{"prompt": 1}\n', b"3\n",
        gzip.compress(b"# x", mtime=0),
        b'{"model": "m", "name": "n", "prompt": "p", "items": "i", "score": [1, 2, 3]}\n',
        *(b'{"model": "m", "name": "n", "prompt": "p", "items": "i", "score": [' + figures + b"]}\n" for figures in (
            b"NaN, 1, 1, 1", b"-1, -1, 0.5, 7", b"5, -1, 0.5, 0.5", b"-1, 0.1, 0.5, 0.5", b"-8, -1, 0.5, 0.5",
            b"-1, -1, -0.5, 0.5", b"9" * 400 + b", 0, 0, 0", b"7, 7, 7, 7")),
        b'{"model": "m", "name": "n", "repeats": [1, 2]}\n', b'{"model": "m", "name": "n", "repeats": [1e999, 1]}\n',
        b'# {"models": {}, "command": ""}\n', b"dear diary\n", b"a,b\n1,2\n", b"# My notes\n",
        gzip.compress(b"x" * 100, mtime=0)[:10] + b"\x07\x07\x07\x07" + gzip.compress(b"x" * 100, mtime=0)[14:],
    ],
)  # fmt: skip
def test_a_damaged_table_is_one_sentence(tmp_path, content):
    (tmp_path / "table").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        ScoreTable.load(tmp_path / "table")


def test_a_missing_table_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="rl-eval prompt score"):
        ScoreTable.load(tmp_path / "none")


def test_a_mean_of_answers_or_grades_is_a_score(tmp_path):
    path, score = tmp_path / "scores.jsonl", Score(0.75, 0.75, 0.75, 0.75)
    append(path, [(("p", "i", "m"), score)], {"m": "n"})
    assert ScoreTable.load(path).scores == {("p", "i", "m"): score}
