"""The content of the page on one run."""

import itertools
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.report import curves, one_run
from rl_eval.report.html_page import MAX_BYTES
from rl_eval.report.judged_run import read_judged_run
from rl_eval.report.verdicts import headline
from tests.report.judged_runs import failing, judged_run, passing, verdict
from tests.report.read_page import page_of


@pytest.fixture(scope="module")
def page(cartpole):
    return page_of(cartpole)


def test_the_verdict_comes_first_in_words_that_need_no_statistics(page):
    text = page.text
    assert text.index("NEEDS RUNS") < text.index("Criteria")
    assert "All 4 criteria on a single run pass. The verdict needs several runs." in text
    assert "1 needs several runs: stable." in text


def test_what_is_about_the_run_itself_weighs_less_than_the_task_unless_it_fails(page, tmp_path):
    assert "About the run itself: quick PASS (training.wall_s 2.5, required ≤ 60)." in page.text
    assert "quick training.wall_s PASS" not in page.text
    judged = passing()
    slow = replace(judged.criteria[1], decision="FAIL", estimate=61.0)
    failed = replace(judged, criteria=(judged.criteria[0], slow, *judged.criteria[2:]))
    text = page_of(judged_run(tmp_path / "run", suites=[failed]).path).text
    assert "quick training.wall_s FAIL 61 ≤ 60" in text
    assert "About the run itself" not in text


def test_a_cost_has_a_unit(tmp_path):
    judged = passing()
    cost = replace(judged.criteria[0], criterion="cheap", metric="mean_cost", history=None)
    text = page_of(judged_run(tmp_path / "run", suites=[replace(judged, criteria=(cost,))]).path).text
    assert "cheap mean_cost, in units of env.costs per flow" in text


def test_a_verdict_on_validation_is_not_taken_for_the_gates(tmp_path):
    played = {"test_data": "the validation part of other.csv", "assumed": ("nothing changes",)}
    on_validation = replace(passing(), part="validation", **played)
    runs = [judged_run(tmp_path / "a", suites=[on_validation]), judged_run(tmp_path / "b")]
    alone, both = page_of(runs[0].path).text, page_of(*(run.path for run in runs), out=tmp_path / "both.html").text
    for words in (
        "on validation",
        "Its test set was not used",
        "Measured on validation episodes",
        "on the validation part of other.csv",
        "Assumed: nothing changes",
        "pole on validation",
    ):
        assert words in alone
    assert "1 of 2 runs were judged on validation episodes" in both
    assert "solved on validation" in both
    assert "validation episodes" not in page_of(runs[1].path).text


def unchecked(suite):
    """The verdict with a guard that had nothing to check."""
    *criteria, guard = suite.criteria
    guard = replace(guard, decision="NOT_CHECKED", detail="there is no record")
    return replace(suite, criteria=(*criteria, guard))


def test_what_is_not_checked_is_shown_and_changes_no_result(tmp_path):
    passes, fails = unchecked(verdict(passing().criteria[0])), unchecked(failing())
    assert (passes.decision, passes.passed, fails.decision) == ("PASS", True, "FAIL")
    assert SuiteVerdict.from_json(passes.to_json()) == passes
    result = headline([passes])
    assert (result.decision, result.sentence) == ("PASS", "All 2 criteria pass.")
    assert any("not checked: held_out" in sentence for sentence in result.more)
    assert headline([fails]).decision == "FAIL"
    page = page_of(judged_run(tmp_path / "run", suites=[passes]).path, out=tmp_path / "run.html")
    assert "NOT CHECKED held_out : there is no record" in page.text
    assert [span["class"] for span in page.all("span") if "NOT_CHECKED" in span.get("class", "")] == [
        "badge NOT_CHECKED"
    ]


def test_each_criterion_shows_estimate_threshold_and_what_it_rests_on(page):
    assert re.search(r"solved mean_return PASS 49\d\.?\d* ≥ 475 475 400 episodes, decided after \d+", page.text)
    labels = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert any(label.startswith("Estimate 49") and "at least 475" in label for label in labels)
    assert any("20 to 1 decides" in label and "for PASS" in label for label in labels)
    assert any(label.startswith("Interval of mean_return over episodes") for label in labels)


def test_headings_and_landmarks_are_in_order(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in page.tags}
    anchors = {attrs["href"][1:] for attrs in page.all("a")}
    assert anchors <= {attrs.get("id") for _, attrs in page.tags}


def test_it_is_one_file_that_loads_nothing_and_runs_no_script(cartpole, page):
    html = (cartpole / "report.html").read_text()
    assert len(html.encode()) < MAX_BYTES
    (policy,) = (tag["content"] for tag in page.all("meta") if "http-equiv" in tag)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not page.all("script")
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert all(tag["src"].startswith("data:image/webp;base64,") for tag in page.all("img"))
    assert not re.findall(r"""(?:href|src)=["'](?!#|data:)|url\(|@import""", html)


def test_episodes_are_shown_as_films_with_words_and_a_switch(page):
    images = page.all("img")
    assert images
    assert all(tag["alt"].startswith("Animation. ") and "return 500 after 500 steps" in tag["alt"] for tag in images)
    assert len([tag for tag in page.all("input") if tag["type"] == "checkbox"]) == len(images)


def test_an_episode_without_end_is_reported(tmp_path):
    env = {"name": "gym", "id": "Pendulum-v1", "kwargs": {"max_episode_steps": 10**9}}
    path = judged_run(tmp_path / "run", env, rule=np.zeros(3), bias=(0.0,) * 2).path
    assert "What is not shown" in page_of(path).text


def test_an_environment_of_gymnasium_goes_by_its_id(tmp_path):
    path = judged_run(tmp_path / "run", {"name": "gym", "id": "Acrobot-v1"}, rule=np.zeros(6), bias=(0.0,) * 3).path
    text = page_of(path).text
    assert "PPO on Acrobot-v1, seed 1" in text
    assert "Typical of 20 episodes: return −500 after 500 steps; cut off by the time limit." in text


@pytest.mark.parametrize(("env", "has_shares"), [("cartpole", True), ("webtest", False)])
def test_shares_of_candidates_by_their_number_are_not_shown(env, has_shares, tmp_path):
    """A candidate of the same number is another control on every page of an application."""
    run = read_judged_run(judged_run(tmp_path / "run", env).path)
    shares = one_run._actions(run, [curves.Group("run", [run.curves])], None)
    assert (shares is not None) == has_shares


def test_a_failed_run_without_anything_has_its_page(tmp_path):
    path = judged_run(tmp_path / "run", status="failed", info={"snapshot": None}).path
    for name in ("metrics.csv", "verdict.json"):
        (path / name).unlink()
    shutil.rmtree(path / "snapshots")
    text = page_of(path).text
    assert "NOT JUDGED" in text
    assert "training failed: loss is not finite" in text
    assert "verdict.json does not exist" in text
    assert "has no snapshot" in text
