"""The status page, on real parts in a folder."""

import re

import pytest

from rl_eval.formatting import whole_words
from rl_eval.production import heartbeats
from rl_eval.production.canary.row import Row
from rl_eval.production.clock_check import note_time
from rl_eval.production.disk import LEAST_BYTES, Disk
from rl_eval.production.heartbeats import DOCUMENT, GONE_S, Alive, Heartbeat, read_alive
from rl_eval.production.recording import STALE_S, read_not_recording, report_recording
from rl_eval.production.watch import figures as watched
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text


def test_a_page_of_nothing_says_what_to_do(parts):
    html = pages.status_page(read_figures(parts, 0.0), [0.1, 0.5])
    assert "Not begun" in html
    assert "rl-eval production register" in html
    assert read_figures(parts, 0.0).faults == {}


def test_the_page_shows_every_part_and_escapes_what_it_shows(client):
    answer = client.get("/")
    html = answer.text
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for text in (
        "Rolling out",
        "version 2 has 10 % of units",
        "Champion 1 serves",
        "0.25 USD",
        "canary",
        "Not decided 40",
    ):
        assert text in html.replace(" ", " "), text
    assert "2 decisions wait for a person" in html
    assert "A training is due (drift)" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    assert "default-src 'none'" in html


def test_sentences_begin_with_a_capital_and_are_cut_between_words():
    assert pages.capitalised("version 2 promoted") == "Version 2 promoted"
    assert pages.capitalised("/data/store.sqlite is away") == "/data/store.sqlite is away"
    assert pages.capitalised("store.sqlite is away") == "store.sqlite is away"
    assert whole_words("one two three", 9) == "one two …"
    assert whole_words("one two", 7) == "one two"
    assert whole_words("x" * 20, 5) == "xxx …"


def test_where_no_roll_out_has_run_it_says_so_once_and_drift_says_how_much_it_shows(full):
    figures = read_figures(full, 2e9)
    feature = {"distance": 0.3, "p": 0.0, "reference": 1.0, "recent": 2.0}
    figures.rollout, figures.evidence = Row(), ()
    figures.drift = {"features": [{**feature, "name": f"f{n}"} for n in range(16)]}
    html = pages.status_page(figures, [0.1])
    assert html.count("has run yet") == 1
    assert ("the furthest first: 10 of 16" in html, "<th scope=\"row\">f9</th>" in html, "f10" in html) == (
        True, True, False,
    )  # fmt: skip
    figures.rollout = Row(state="idle", outcome="version 2 promoted: sure")
    html = pages.status_page(figures, [0.1])
    assert html.count("ersion 2 promoted: sure") == html.count("Version 2 promoted: sure") == 1


def test_a_shadow_is_a_step_only_where_the_config_has_one(full):
    figures = read_figures(full, 2e9)
    assert "<li>shadow</li>" not in pages.status_page(figures, [0.1])
    assert "<li>shadow</li>" in pages.status_page(figures, [0.1], shadow=True)


def test_a_part_that_is_away_is_said_and_the_rest_is_shown(full):
    (full.registry.folder / "aliases.json").write_text("{damaged")
    full.audit.path.write_bytes(b"no line of ours\n")
    figures = read_figures(full, 2e9)
    assert set(figures.faults) == {"registry", "audit"}
    html = pages.status_page(figures, [0.1])
    assert "Partly blind" in html
    assert "Not decided 40" in html
    text = prometheus_text(figures).decode()
    assert 'rl_eval_loop_part_up{part="registry"} 0.0' in text
    assert 'rl_eval_loop_part_up{part="store"} 1.0' in text


def red(full, now=2e9):
    """The verdict of the page, which must be a failure, and the metrics."""
    figures = read_figures(full, now)
    headline = pages.headline(figures)
    assert headline["kind"] == "FAIL"
    html = pages.status_page(figures, [0.1])
    assert 'class="verdict FAIL"' in html
    assert headline["word"] in html
    return headline, html, prometheus_text(figures).decode().splitlines()


def test_a_full_disk_is_red(full, monkeypatch):
    monkeypatch.setattr(watched, "disk_of", lambda path: Disk(1 << 30, LEAST_BYTES - 1))
    headline, html, metrics = red(full)
    assert headline["word"] == "Disk full"
    assert "queue is full" in html
    assert 'rl_eval_loop_part_up{part="queue"} 0.0' in metrics
    assert 'rl_eval_loop_disk_free_bytes{part="store"} 1.048575e+06' in metrics
    monkeypatch.setattr(watched, "disk_of", lambda path: Disk(1 << 30, LEAST_BYTES))
    assert pages.headline(read_figures(full, 2e9))["word"] == "Rolling out"


def test_servers_that_do_not_record_are_red_until_they_do_or_end(full):
    report_recording(full.store, "b", 2e9 - 5, "the queue is away", 2e9 - 60)
    report_recording(full.store, "a", 2e9, "no room", 2e9 - 10)
    headline, _, metrics = red(full)
    assert headline["word"] == "Not recording"
    assert headline["sentence"].startswith("Since 2033-05-18 03:32:20, 2 servers could not record")
    assert "the queue is away" in headline["sentence"]
    assert "rl_eval_loop_not_recording_servers 2.0" in metrics
    report_recording(full.store, "b", 2e9, "", 0.0)
    assert [one.server for one in read_not_recording(full.store, 2e9)] == ["a"]
    assert pages.headline(read_figures(full, 2e9 + STALE_S))["word"] == "Rolling out"


def test_a_clock_that_may_be_wrong_is_red(full):
    note_time(full.store, 2e9 - full.config.privacy.retention - 60)
    headline, _, metrics = red(full)
    assert headline["word"] == "Clock in doubt"
    assert "erase CONFIG --old" in headline["sentence"]
    assert "rl_eval_loop_clock_in_doubt 1.0" in metrics


def later(full, monkeypatch, seconds):
    """So much later by the store's clock, no process has given a sign of life."""
    now = full.store.now() + seconds
    monkeypatch.setattr(full.store, "now", lambda: now)


def test_processes_that_are_gone_are_red_with_what_that_means(full, monkeypatch):
    assert "1 control loop</li>" in pages.status_page(read_figures(full, 2e9), [0.1])
    later(full, monkeypatch, 90.0)
    Heartbeat(full.store, "server").beat()
    headline, html, metrics = red(full)
    assert headline["word"] == "No control loop and no collector"
    sentence = re.sub(r"\s1\smin\s\d+\ss:", " 1 min:", headline["sentence"])
    assert "No control loop has worked for 1 min: nobody trains, proves, promotes or rolls back" in sentence
    assert "rl-eval production run CONFIG" in sentence
    assert "The figures of the roll-out are as old." in sentence
    assert "These figures are as old." in html
    assert 'part-away">no control loop<' in html
    assert 'part-up">1 server<' in html
    values = {line.partition("}")[0]: float(line.rpartition(" ")[2]) for line in metrics if "alive_seconds{" in line}
    assert values['rl_eval_loop_alive_seconds{process="loop"'] > 89
    assert values['rl_eval_loop_alive_seconds{process="server"'] == 0.0
    assert 'rl_eval_loop_processes{process="loop"} 0.0' in metrics
    Heartbeat(full.store, "loop").beat()
    Heartbeat(full.store, "collector").beat()
    assert pages.headline(read_figures(full, 2e9))["word"] == "Rolling out"
    later(full, monkeypatch, 90.0)
    assert pages.headline(read_figures(full, 2e9))["word"] == "No control loop and no server and no collector"


def test_a_process_that_never_worked_is_red_once_there_is_a_champion(full):
    full.store.swap_document(full.store.document(DOCUMENT).number, {}, DOCUMENT)
    headline, _, metrics = red(full)
    assert "No server has worked yet: nobody decides" in headline["sentence"]
    assert 'rl_eval_loop_alive_seconds{process="loop"} +Inf' in metrics


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_makes_no_process_dead_or_alive_for_long(full, monkeypatch, jump):
    living = Heartbeat(full.store, "loop")
    living.beat()
    later(full, monkeypatch, jump)
    assert read_alive(full.store)["server"].age > GONE_S  # dead, and stays so
    monkeypatch.setattr(heartbeats, "BEAT_S", 0.0)
    living.beat()
    assert read_alive(full.store)["loop"] == Alive(1, 0.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "above 0.7: 90 (90.0 %) of 100 decisions of version 1 whose reward is known, of which 2.2 % were wrong"),
        ({"threshold": None, "alone": None, "wrong": None}, "keeps wrong decisions at 5.0 % over 100 decisions of"),
        ({"threshold": -1.0, "alone": 100}, "the policy decides all 100 decisions of version 1 whose reward is known"),
    ],
)
def test_the_bound_of_review_names_what_it_was_measured_on(full, values, said):
    document = full.store.document("review_bound")
    full.store.swap_document(document.number, {**document.body, **values}, "review_bound")
    html = re.sub(r"\s", " ", pages.status_page(read_figures(full, 2e9), [0.1]))
    assert said in html
    assert "above −1" not in html
    assert "held-out decisions" not in html


def test_a_version_that_was_rolled_back_is_marked(full):
    assert "rolled back" not in pages.status_page(read_figures(full, 2e9), [0.1])
    full.store.swap_document(0, {"2": "reward: worse"}, "rolled_back")
    html = pages.status_page(read_figures(full, 2e9), [0.1])
    (head,) = (row for row in html.split("<tr>") if "rolled back" in row)
    assert head.startswith('<th scope="row">2 ')
