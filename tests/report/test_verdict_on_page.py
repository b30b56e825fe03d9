"""Headline, criteria and evidence as a page states and draws them."""

import re
from dataclasses import replace

import pytest

from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.report import write_report
from rl_eval.report.criterion_rows import criteria, reasons
from rl_eval.report.html_page import count, number
from rl_eval.report.verdicts import evidence, headline
from rl_eval.run import read_json
from tests.report.judged_runs import failing, judged_run, passing, verdict


def test_criteria_on_one_metric_share_a_scale(tmp_path):
    judged = passing()
    solved = judged.criteria[0]
    close = replace(solved, criterion="close", threshold=100.0)
    first, second = criteria(replace(judged, criteria=(solved, close)))
    assert (
        re.search(r'class="span" x1="([\d.]+)"', first.drawing)[1]
        == re.search(r'class="span" x1="([\d.]+)"', second.drawing)[1]
    )
    assert criteria(replace(judged, criteria=(solved,)))[0].drawing != first.drawing


@pytest.mark.parametrize(
    ("suites", "decision", "sentence"),
    [
        ([failing()], "FAIL", "mean_return is 48.63, required: at least 475"),
        ([verdict(failing().criteria[1])], "INCONCLUSIVE", "1 of 3 criteria could not be decided"),
        ([verdict(passing().criteria[0])], "PASS", "All 3 criteria pass."),
        ([], "NONE", "No suite has judged this run"),
        ([passing(), failing()], "FAIL", "1 of 9 criteria fails"),
    ],
)
def test_the_headline_states_the_decision(suites, decision, sentence):
    result = headline(suites)
    assert result.decision == decision
    assert sentence in result.sentence


def test_the_headline_names_controls_that_could_not_be_decided():
    fails = failing()
    controls = [replace(row, decision="INCONCLUSIVE") if row.criterion == "controls" else row for row in fails.criteria]
    assert [row.criterion for row in controls].count("controls") == 1
    assert "2 could not be decided: close, controls." in headline([replace(fails, criteria=tuple(controls))]).more


def test_the_history_of_the_evidence_survives_verdict_json(cartpole):
    (values,) = read_json(cartpole / "verdict.json")["suites"]
    verdict_read = SuiteVerdict.from_json(values)
    assert verdict_read == passing()
    assert verdict_read.criteria[0].history.units[-1] == verdict_read.criteria[0].decided_at
    assert verdict_read.criteria[1].history is None


def test_what_was_missed_begins_with_the_task():
    judged = failing()
    quick = replace(judged.criteria[0], criterion="quick", by="estimate", history=None)
    judged = replace(judged, criteria=(quick, *judged.criteria))
    assert [row.criterion for row in reasons(judged)] == ["solved", "close", "quick"]
    sentence = headline([judged]).sentence
    assert sentence.index("mean_return") < sentence.rindex("mean_return")


def test_a_set_that_was_played_as_a_whole_has_no_bets_and_no_probability(tmp_path):
    solved = passing().criteria[0]
    whole = replace(solved, interval=(solved.estimate, solved.estimate))
    (drawn,) = evidence(verdict(whole))
    assert drawn.wealth == ""
    assert evidence(verdict(solved))[0].wealth != ""
    pages = []
    for name, row in (("whole", whole), ("sampled", solved)):
        judged_run(tmp_path / name, suites=[verdict(row)])
        pages.append(write_report([tmp_path / name], tmp_path / f"{name}.html").read_text())
    assert ["with probability" in page for page in pages] == [False, True]
    assert ["bets on every" in page for page in pages] == [False, True]
    units = whole.history.units[-1]
    (ended,) = evidence(verdict(replace(whole, units=units)))
    value = number(whole.estimate, 3)
    assert f"{value} to {value} after {count(units)}" in ended.interval


def test_the_interval_is_drawn_at_the_scale_of_its_end(tmp_path):
    """A difference of .02 is seen, although the first intervals are a thousand times as wide."""
    solved = passing().criteria[0]
    history = replace(solved.history, lower=[-20.0, -1.0, 0.01], upper=[20.0, 1.0, 0.03], units=[1, 20, 36],
                      for_pass=[0.0, 0.0, 22.0], for_fail=[0.0, 0.0, -1.0])  # fmt: skip
    (drawn,) = evidence(verdict(replace(solved, threshold=0.0, interval=(0.01, 0.03), history=history)))
    labels = [
        float(text)
        for text in re.findall(r'text-anchor="end" class="">(-?[\d.]+)<', drawn.interval.replace("\u2212", "-"))
    ]
    assert max(map(abs, labels[:4])) < 1
    assert "10\u2078" in drawn.wealth or "10\u2074" in drawn.wealth
    assert "000,000" not in drawn.wealth
