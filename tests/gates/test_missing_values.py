"""Episodes without a value of a metric: an error, the worst value, or left out, as the suite says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.gates import evaluate_suite, named_runs
from rl_eval.gates.suite import parse_suite

SUITE = """\
rl_eval: 1
env: {id: arm, outcome: [is_success]}
criteria:
  reaches: {metric: fact.is_success, %s}
"""
# 300 episodes, of which 30 say that they succeeded and 270 say nothing
FEW = ["true" if index % 10 == 0 else "" for index in range(300)]


def suite_of(criterion):
    return parse_suite(SUITE % criterion, Path("arm.yaml"), "arm.yaml")


@pytest.fixture
def judge(tmp_path):
    def judged(criterion, facts=FEW, reference=None):
        rows = [f"e{index},{fact}" for index, fact in enumerate(facts)]
        header = "unit,is_success"
        if reference is not None:
            header += ",reference.is_success"
            rows = [f"{row},{fact}" for row, fact in zip(rows, reference, strict=True)]
        file = tmp_path / "e.csv"
        file.write_text("\n".join([header, *rows]) + "\n")
        suite = suite_of(criterion)
        return evaluate_suite(suite, named_runs(suite, [f"episodes:{file}"])).criteria[0]

    return judged


@pytest.mark.parametrize("by", ["evidence", "estimate"])
def test_a_missing_fact_is_an_error(judge, by):
    row = judge(f"at_least: 0.8, by: {by}")
    assert row.decision == "ERROR"
    assert "fact is_success is missing in 270 of 300 episodes" in row.detail
    assert "criteria.reaches.missing: worst" in row.detail


@pytest.mark.parametrize(("condition", "counted"), [("at_least: 0.8", 0), ("at_most: 0.5", 1)])
@pytest.mark.parametrize("by", ["evidence", "estimate"])
def test_worst_counts_it_on_the_losing_side(judge, condition, counted, by):
    row = judge(f"{condition}, missing: worst, by: {by}")
    assert (row.decision, row.units) == ("FAIL", 300)
    assert row.estimate == pytest.approx(0.1 + 0.9 * counted)
    assert f"270 of 300 have no value and count as {counted}" in row.detail


def test_ignore_leaves_it_out_and_says_how_many(judge):
    row = judge("at_least: 0.8, missing: ignore")
    assert (row.decision, row.estimate, row.units) == ("PASS", 1.0, 30)
    assert row.decided_at <= 30
    assert "270 of 300 have no value" in row.detail
    estimated = judge("at_least: 0.8, missing: ignore, by: estimate")
    assert (estimated.decision, estimated.units) == ("PASS", 30)
    assert "270 of 300 have no value" in estimated.detail


def test_a_pair_needs_both(judge):
    ours, theirs = ["true"] * 300, ["false"] * 150 + [""] * 150
    assert "fact is_success is missing in 150 of 300" in judge("better_than: reference", ours, theirs).detail
    ignored = judge("better_than: reference, missing: ignore", ours, theirs)
    assert (ignored.decision, ignored.units, ignored.estimate) == ("PASS", 150, 1.0)
    assert "150 of 300 have no value" in ignored.detail
    worst = judge("better_than: reference, missing: worst", ours, theirs)
    assert (worst.units, worst.estimate) == (300, 1.0)
    assert "150 of 300 of reference have no value and count as 0" in worst.detail
    estimated = judge("better_than: reference, by: estimate", ours, theirs)
    assert "the reference reference: fact is_success is missing in 150 of 300" in estimated.detail


def test_nothing_is_said_where_nothing_is_missing(judge):
    facts = np.random.default_rng(0).random(300) < 0.95
    plain = judge("at_least: 0.8", facts)
    assert plain.decision == "PASS"
    for missing in ("worst", "ignore"):
        assert judge(f"at_least: 0.8, missing: {missing}", facts) == plain


@pytest.mark.parametrize(
    ("metric", "message"),
    [("mean_length", "is not a mean of values of single units"), ("f1", "is not a mean of values of single units")],
)
def test_only_means_have_it(metric, message):
    text = f"""\
rl_eval: 1
env: {{id: arm, outcome: [label, flagged]}}
criteria:
  one: {{metric: {metric}, at_least: 0.8, missing: worst, by: estimate}}
"""
    with pytest.raises(InputError, match=message):
        parse_suite(text, Path("arm.yaml"), "arm.yaml")


def test_metrics_that_are_undefined_by_definition_say_so():
    text = "rl_eval: 1\nenv: qase\ncriteria: {early: {metric: apfd, at_least: 0.8%s}}\n"
    assert parse_suite(text % "", Path("q.yaml"), "q.yaml").criteria[0].metric.undefined_units
    with pytest.raises(InputError, match="apfd leaves out units without a value"):
        parse_suite(text % ", missing: worst", Path("q.yaml"), "q.yaml")
