"""The content of the pages on one run and on several, and where they are written."""

import itertools
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.report import curves, one_run, write_report
from rl_eval.report.animation import films
from rl_eval.report.behaviour import observe
from rl_eval.report.criterion_rows import criteria, reasons
from rl_eval.report.curves import over_seeds
from rl_eval.report.html_page import MAX_BYTES, count, number
from rl_eval.report.judged_run import read_judged_run
from rl_eval.report.verdicts import evidence, headline
from rl_eval.run import read_json, read_record, write_json
from tests.gates.fake_runs import BALANCE
from tests.report.judged_runs import failing, judged_run, passing, table, verdict

VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """The tags, the text and the order of headings; every tag that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.hovers, self._open = [], [], [], []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "svg" in self._open and self._open[-1] == "title":
            self.hovers.append(data)
        elif not self._open or self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, name):
        return [attrs for tag, attrs in self.tags if tag == name]


def page_of(*paths, **options):
    return Page(write_report(list(paths), **options).read_text())


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    return judged_run(tmp_path_factory.mktemp("pages") / "run", rule=BALANCE).path


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


def test_the_best_of_several_runs_is_the_best_on_validation(tmp_path):
    scores = {"a": 3.0, "b": 5.0, "c": 4.0, "d": None}
    paths = [
        judged_run(tmp_path / name, info={"results": {"mean_return": score}}).path for name, score in scores.items()
    ]
    text = page_of(*paths, out=tmp_path / "page.html").text
    assert "The best on validation is b: mean_return 5." in text
    assert text.count("best on validation") == 2  # the sentence, and the row
    alone = page_of(paths[3], judged_run(tmp_path / "e", info={"results": {}}).path, out=tmp_path / "two.html")
    assert "best on validation" not in alone.text


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


def test_films_show_best_median_and_worst_episode(tmp_path):
    path = judged_run(tmp_path / "run", "lunarlander", rule=np.zeros(8), bias=(1.0, 0.0, 0.0, 0.0)).path
    behaviour = observe(read_record(path))
    rendered = films(behaviour)
    assert [film.label for film in rendered] == ["Best", "Median", "Worst"]
    for film, expected in zip(
        rendered, (behaviour.returns.max(), np.sort(behaviour.returns)[9], behaviour.returns.min()), strict=True
    ):
        (text,) = re.findall(r"return (−?[\d,.]+) after", film.description)
        assert float(text.replace("−", "-").replace(",", "")) == pytest.approx(expected, rel=1e-3)
        assert film.rows * film.columns >= 2
        (index,) = np.flatnonzero(
            behaviour.returns == behaviour.returns[np.argmin(np.abs(behaviour.returns - expected))]
        )
        assert film.description.endswith(f" Seed {behaviour.episodes.seeds[index]}.")
    assert sum(len(film.source) for film in rendered) < MAX_BYTES


def test_looking_at_episodes_for_the_page_is_no_look_at_the_gate(cartpole):
    from rl_eval.seeding import episode_seeds

    behaviour = observe(read_record(cartpole))
    assert behaviour.part == "report"
    assert behaviour.episodes.seeds.tolist() == episode_seeds(1, 20, "report")
    assert not set(behaviour.episodes.seeds) & {
        s for p in ("gate", "select", "doctor") for s in episode_seeds(1, 500, p)
    }


def test_decisions_on_cases_are_counted(tmp_path):
    env = {"name": "threat", "train_flows": 400, "validation_flows": 400, "test_flows": 400}
    path = judged_run(tmp_path / "run", env, rule=np.zeros(3), bias=(0.0, 1.0, 0.0, 0.0), suites=[failing()]).path
    behaviour = observe(read_record(path))
    assert behaviour.part == "validation"
    counted = behaviour.confusion
    assert (counted.fn, counted.tn) == (0, 0)
    assert counted.tp + counted.fp == 400
    text = page_of(path).text
    assert f"Threat {counted.tp} 100.0 % caught 0 0.0 % missed {counted.tp}" in text
    assert f"Benign {counted.fp} 100.0 % false alarms 0 0.0 % spared {counted.fp}" in text
    assert "block 100.0 % 100.0 %" in text


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


# --- several runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    folder.mkdir()
    jobs = []
    for job, (lr, seed) in enumerate((lr, seed) for lr in (0.001, 0.01) for seed in (1, 2, 3)):
        config = {"agent": {"name": "ppo", "lr": lr}}
        suites = [passing() if lr == 0.001 else failing()]
        judged_run(folder / f"{job}_lr={lr},seed={seed}", seed=seed, config=config, suites=suites)
        jobs.append({"number": job, "directory": f"{job}_lr={lr},seed={seed}"})
    write_json(folder / "sweep.json", {"jobs": jobs})
    return folder


def test_a_sweep_is_one_page_with_a_row_a_run_and_a_group_a_setting(sweep):
    page = page_of(sweep)
    assert (sweep / "report.html").is_file()
    assert "Of 6 runs, 3 pass, 3 fail." in page.text
    assert "2 groups of equal settings" in page.text
    assert "agent.lr=0.001" in page.text
    bands = [tag for tag in page.all("polygon") if tag["class"].startswith("band")]
    assert {tag["class"] for tag in bands} == {"band f1", "band f2"}
    assert re.search(r"solved mean_return ≥ 475", page.text)


def test_runs_are_linked_where_their_pages_lie_below(sweep):
    first = sorted(sweep.glob("0_*"))[0]
    write_report([first])
    links = [tag["href"] for tag in page_of(sweep).all("a")]
    assert f"{first.name.replace('=', '%3D').replace(',', '%2C')}/report.html" in links
    assert not [link for link in links if link.startswith(("/", "..", "http"))]


def test_runs_of_different_folders_need_a_place(sweep, cartpole, tmp_path):
    with pytest.raises(InputError, match="--out FILE"):
        write_report([sweep, cartpole])
    assert "7 runs on" in page_of(sweep, cartpole, out=tmp_path / "all.html").text


def test_a_band_is_the_range_over_runs_and_its_line_their_median():
    steps = np.arange(1.0, 6.0)
    runs = [{"env_steps": steps, "x": steps * k} for k in (1.0, 2.0, 6.0)]
    runs[2] = {"env_steps": steps[::2], "x": 6.0 * steps[::2]}  # logged half as often
    common_steps, median, low, high = over_seeds(runs, "x")
    np.testing.assert_allclose(common_steps, steps)
    np.testing.assert_allclose(median, 2 * steps)
    np.testing.assert_allclose(low, steps)
    np.testing.assert_allclose(high, 6 * steps)


# --- the command and the end of a training ---------------------------------------------------------


def test_the_command_writes_the_page_and_says_where(cartpole, tmp_path, capsys):
    assert main(["report", str(cartpole), "--out", str(tmp_path / "page.html")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert "CartPole" in (tmp_path / "page.html").read_text() or "cartpole" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], []])
def test_bad_input_is_one_sentence_and_status_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_page_that_cannot_be_written_fails_no_training(tmp_path, capsys, monkeypatch):
    from rl_eval import job, report

    def broken(*_, **__):
        raise RuntimeError("no room\nleft")

    monkeypatch.setattr(report, "write_report", broken)
    job._report(tmp_path)
    page = capsys.readouterr().err
    assert "no report was written (no room left): try `rl-eval report" in " ".join(page.split())


def test_the_history_of_the_evidence_survives_verdict_json(cartpole):
    (values,) = read_json(cartpole / "verdict.json")["suites"]
    verdict_read = SuiteVerdict.from_json(values)
    assert verdict_read == passing()
    assert verdict_read.criteria[0].history.units[-1] == verdict_read.criteria[0].decided_at
    assert verdict_read.criteria[1].history is None


@pytest.mark.verify
def test_a_hundred_thousand_rows_take_less_than_five_seconds(tmp_path):
    import time

    path = judged_run(tmp_path / "run").path
    (path / "metrics.csv").write_text(table(100_000))
    begun = time.process_time()
    file = write_report([path])
    assert time.process_time() - begun < 5
    assert file.stat().st_size < 1_000_000


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
