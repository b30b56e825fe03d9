"""Episodes that were played elsewhere: the same evidence as on episodes that are played, and bad rows by their line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.evidence import MeanTest, PairedTest
from rl_eval.gates import episode_file, evaluate_suite, named_runs, read_release, with_release
from rl_eval.gates.suite import parse_suite

SUITE = """\
rl_eval: 1
env: {id: arm-in-the-lab, outcome: [is_success, touches]}
episodes: {return_bounds: [0, 100]}
attainable: random
criteria:
  reaches: {metric: fact.is_success, at_least: 0.8}
  good: {metric: mean_return, at_least: 50, margin: 5}
"""
FIRST = "unit,return,is_success,touches\n"
RETURNS = np.random.default_rng(0).normal(60, 5, 120).round(3)
REACHED = np.random.default_rng(1).random(120) < 0.95


def suite_of(criteria=""):
    return parse_suite(SUITE + criteria, Path("arm.yaml"), "arm.yaml")


def judged(file, criteria=""):
    suite = suite_of(criteria)
    return {row.criterion: row for row in evaluate_suite(suite, named_runs(suite, [f"episodes:{file}"])).criteria}


def write(file, **columns):
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if file.suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(row) for row in rows))
    else:
        lines = [",".join(columns), *(",".join(map(str, row.values())) for row in rows)]
        file.write_text("\n".join(lines) + "\n")
    return file


def arm(file, **more):
    units = [f"run {index}" for index in range(120)]
    own = {"return": RETURNS.tolist(), "is_success": REACHED.tolist(), "touches": [1] * 120}
    return write(file, unit=units, **own, **more)


@pytest.mark.parametrize("name", ["arm.csv", "arm.jsonl"])
def test_the_evidence_is_that_of_the_engine_on_the_same_numbers(tmp_path, name):
    rows = judged(arm(tmp_path / name))
    test = MeanTest(50, 0, 100, 0.05, "at_least", limit=120)
    test.extend(RETURNS)
    good = rows["good"]
    assert (good.decision, good.decided_at, good.interval) == (
        test.result.decision,
        test.result.decided_at,
        test.result.interval,
    )
    assert good.estimate == pytest.approx(RETURNS.mean())
    assert rows["reaches"].estimate == pytest.approx(REACHED.mean())
    assert (rows["reaches"].units, rows["reaches"].units_max) == (120, 120)


def test_the_verdict_says_what_only_playing_can_check(tmp_path):
    rows = judged(arm(tmp_path / "arm.csv"))
    unchecked = [rows[name] for name in ("controls", "attainable", "held_out")]
    assert {row.decision for row in unchecked} == {"NOT_CHECKED"}
    assert all(row.detail.startswith("the episodes were played elsewhere") for row in unchecked)


def test_the_reference_column_is_compared_unit_by_unit(tmp_path):
    reference = (RETURNS - 12 + np.random.default_rng(2).normal(0, 1, 120)).round(3)
    file = arm(tmp_path / "arm.csv", reference=reference.tolist())
    row = judged(file, "  better: {metric: mean_return, better_than: reference, margin: 5}\n")["better"]
    test = PairedTest(5, 0, 100, 0.05, "better_than", limit=120)
    test.extend(RETURNS, reference)
    assert (row.decision, row.decided_at, row.interval) == ("PASS", test.result.decided_at, test.result.interval)
    for criterion, message in (
        ("{metric: mean_return, better_than: random}", "write better_than: reference"),
        ("{metric: fact.touches, better_than: reference, by: estimate}", "touches"),
    ):
        other = judged(file, f"  better: {criterion}\n")["better"]
        assert other.decision == "ERROR"
        assert message in other.detail


def test_facts_have_bounds_of_their_own(tmp_path):
    file = arm(tmp_path / "arm.csv")
    few = "  few: {metric: fact.touches, at_most: 3, bounds: [0, 10]}\n"
    assert judged(file, few)["few"].decision == "PASS"
    file.write_text(file.read_text().replace(",1\n", ",12\n", 1))
    assert judged(file, few)["few"].decision == "INCONCLUSIVE"  # a value outside of them forbids a PASS
    with pytest.raises(InputError, match=r"criteria\.few\.bounds: median_return is not a mean"):
        suite_of("  few: {metric: median_return, at_most: 3, bounds: [0, 10]}\n")


def test_labels_and_flags_of_a_detector_give_its_f1(tmp_path):
    rng = np.random.default_rng(3)
    label = rng.random(400) < 0.4
    flagged = np.where(rng.random(400) < 0.95, label, ~label)
    file = write(
        tmp_path / "flows.csv", unit=range(400), label=label.astype(int).tolist(), flagged=flagged.astype(int).tolist()
    )
    text = "rl_eval: 1\nenv: {id: detector, outcome: [label, flagged]}\ncriteria: {f1: {metric: f1, at_least: 0.8}}\n"
    suite = parse_suite(text, Path("detector.yaml"), "detector.yaml")
    row = evaluate_suite(suite, named_runs(suite, [f"episodes:{file}"])).criteria[0]
    tp, wrong = (label & flagged).sum(), (label != flagged).sum()
    assert row.decision == "PASS"
    assert row.estimate == pytest.approx(2 * tp / (2 * tp + wrong))


def test_lengths_are_steps(tmp_path):
    file = arm(tmp_path / "arm.csv", length=[3 + index % 2 for index in range(120)])
    rows = judged(file, "  long: {metric: mean_length, at_least: 3.4, by: estimate}\n")
    assert rows["long"].estimate == 3.5
    assert rows["good"].estimate == pytest.approx(RETURNS.mean())
    without = judged(arm(tmp_path / "arm.csv"), "  long: {metric: mean_length, at_least: 3, by: estimate}\n")
    assert "has no column 'length'" in without["long"].detail


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FIRST + "a,1,true,1\nb,x,true,1\n", r"a\.csv:3: return 'x' is not a number"),
        (FIRST + "a,inf,true,1\n", r"a\.csv:2: return 'inf' is not a number"),
        (FIRST + "a,,true,1\n", r"a\.csv:2: there is no 'return'"),
        (FIRST + "a,1,true,1\nb,2,true,1\na,1,true,1\n", r"a\.csv:4: the unit 'a' is on line 2 too"),
        (FIRST + "a,1,true\n", r"a\.csv:2: 3 values, but the header has 4"),
        (FIRST + ",1,true,1\n", r"a\.csv:2: there is no 'unit'"),
        (FIRST, "has no episodes"),
        ("", "has no episodes"),
        ("unit;return;is_success\na;1;true\n", "a.csv:1: the columns are separated by ';': separate them by commas"),
        ("episode,return\n1,2\n", "the header has no column 'unit'"),
        ("unit,return,return\n1,2,2\n", "the header names a column twice"),
        ("unit,length\na,0\n", r"a\.csv:2: length 0 is not a number of steps"),
        ("unit,length\na,1e9\n", "more than 10,000,000 steps"),
        ("unit,return\na,1\n", "has no column 'is_success'"),
        ("unit\na\n", "has 0 columns"),
        (FIRST + '"a,1\n', r"a\.csv:\d+: not valid CSV"),
    ],
)
def test_a_bad_row_is_one_sentence_with_its_line(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    row = judged(tmp_path / "a.csv")["reaches"]
    assert row.decision == "ERROR"
    assert re.search(message, row.detail)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"unit": "a", "return": 1}\n{"unit": "b"', r"a\.jsonl:2: not valid JSON"),
        ("[1]", r"a\.jsonl:1: not an object"),
        ('{"unit": "a", "return": 1}\n\n{"unit": "b", "x": 1}', r"a\.jsonl:3: the column '\w+' is not in every row"),
        ('{"unit": "a", "return": {}}', r"a\.jsonl:1: return \{\} is not a number"),
        ('{"unit": "a", "return": 1' + "0" * 400 + "}", "is not a number"),
    ],
)
def test_a_bad_object_is_one_sentence_with_its_line(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        episode_file.read_episode_file(tmp_path / "a.jsonl")


def test_files_are_bounded(tmp_path, monkeypatch):
    file = arm(tmp_path / "arm.csv")
    for name, value, message in (("MAX_BYTES", 99, "larger than"), ("MAX_ROWS", 9, "more than 9 rows")):
        with monkeypatch.context() as patch:
            patch.setattr(episode_file, name, value)
            with pytest.raises(InputError, match=message):
                episode_file.read_episode_file(file)
    for name in ("missing.csv", "arm.txt", "."):
        with pytest.raises(InputError, match=r"cannot be read|neither CSV nor JSONL"):
            episode_file.read_episode_file(tmp_path / name)


def test_what_was_played_elsewhere_plays_with_nobody(tmp_path):
    file = arm(tmp_path / "arm.csv")
    suite = suite_of()
    with pytest.raises(InputError, match="judge it without policies that must still play"):
        named_runs(suite, [f"episodes:{file}", "random"])
    release = with_release(suite, read_release(f"episodes:{file}", tmp_path))
    rows = {row.criterion: row for row in evaluate_suite(release, named_runs(release, [f"episodes:{file}"])).criteria}
    assert rows["good_no_worse"].decision == "ERROR"
    assert rows["good"].decision == "PASS"
    threat = parse_suite(
        "rl_eval: 1\nenv: threat\ncriteria: {f1: {metric: f1, at_least: 0.8}}\n", Path("t.yaml"), "t.yaml"
    )
    verdict = evaluate_suite(threat, named_runs(threat, [f"episodes:{file}"]))
    assert "threat judges cases of its data" in verdict.criteria[0].detail


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    file = tmp_path / "twice.jsonl"
    file.write_text('{"unit": "a", "return": 1, "return": 99}\n')
    with pytest.raises(InputError, match=r"twice\.jsonl:1: 'return' is there twice"):
        episode_file.read_episode_file(file)


@pytest.mark.parametrize("value", ["1e308", "-1e101"])
def test_numbers_that_no_mean_can_hold_are_refused(tmp_path, value):
    file = tmp_path / "huge.csv"
    file.write_text(f"unit,return\na,{value}\n")
    with pytest.raises(InputError, match=r"huge\.csv:2: return .* is larger than 1e\+100"):
        episode_file.read_episode_file(file)
