"""`rl-eval compare` on two verdict files of pytest."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rl_eval.cli import main
from rl_eval.compare.verdict_files import CriterionPair, compare_verdict_files
from rl_eval.errors import InputError
from rl_eval.gates.compared import PlayedUnits
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from rl_eval.gates.verdict_file import write_verdict_file

SEEDS = tuple(range(30))


def criterion(values, decision="PASS", name="solved", direction="at_least", threshold=10.0):
    mean = sum(values) / len(values)
    played = PlayedUnits(SEEDS[: len(values)], tuple(values))
    return CriterionVerdict(
        "pole", name, "mean_return", decision, "", "evidence", direction, threshold, mean, played=played
    )


def write(folder, name, *criteria, test_set="same"):
    suite = SuiteVerdict("pole", "pole.yaml", "cartpole", "greedy", 1, ("policy",), criteria, test_set=test_set)
    write_verdict_file(folder / name, [suite])
    return str(folder / name)


HIGH = [20.0 + seed % 3 for seed in SEEDS]
LOW = [value - 5 - seed % 2 for seed, value in enumerate(HIGH)]


@pytest.mark.parametrize(
    ("before", "after", "change", "status"),
    [
        (criterion(HIGH), criterion(LOW), "WORSE", 1),
        (criterion(LOW), criterion(HIGH), "BETTER", 0),
        (criterion(HIGH), criterion(HIGH), "", 0),
        (criterion(HIGH, direction="at_most", threshold=99.0), criterion(LOW, direction="at_most"), "BETTER", 0),
        (replace(criterion(HIGH), played=None), criterion(LOW, "FAIL"), "LOST", 1),
        (replace(criterion(HIGH, "FAIL"), played=None), criterion(LOW), "WON", 0),
    ],
)
def test_a_criterion_is_worse_by_its_episodes_or_lost_by_its_decision(tmp_path, capsys, before, after, change, status):
    names = write(tmp_path, "old.json", before), write(tmp_path, "new.json", after)
    assert main(["compare", *names, "--gate", "--json"]) == status
    (row,) = json.loads(capsys.readouterr().out)["criteria"]
    assert row["change"] == change
    assert main(["compare", names[1], "--baseline", names[0], "--gate"]) == status
    assert ("closed by pole::solved" in capsys.readouterr().out) == bool(status)


def test_what_was_not_checked_is_neither_lost_nor_won():
    passed, unchecked = replace(criterion(HIGH), played=None), criterion(HIGH, "NOT_CHECKED")
    assert CriterionPair("solved", passed, unchecked).change == ""
    assert CriterionPair("solved", unchecked, None).change == ""


def test_the_difference_is_over_the_seeds_that_both_played(tmp_path):
    files = write(tmp_path, "old.json", criterion(HIGH)), write(tmp_path, "new.json", criterion(LOW[:20]))
    (pair,) = compare_verdict_files(files, []).pairs
    assert pair.difference.count == 20
    assert pair.difference.estimate == pytest.approx(-5.5)
    assert pair.difference.low <= -5.5 <= pair.difference.high < 0


def test_other_episodes_are_not_subtracted(tmp_path):
    files = write(tmp_path, "old.json", criterion(HIGH)), write(tmp_path, "new.json", criterion(LOW), test_set="other")
    result = compare_verdict_files(files, [])
    assert result.pairs[0].difference is None
    assert result.notes == ("pole was played on other episodes, so its differences are not shown",)


def test_what_cannot_be_compared_is_one_sentence(tmp_path, capsys):
    file = write(tmp_path, "old.json", criterion(HIGH))
    with pytest.raises(InputError, match="1 verdict files are named: name two"):
        compare_verdict_files([file], [])
    assert main(["compare", file, str(tmp_path)]) == 2
    assert main(["compare", file, file, "--html", "x.html"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert "is a verdict file and" in errors[0]
    assert "rl-eval report" in errors[1]
