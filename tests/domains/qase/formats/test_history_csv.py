"""Executions as CSV in any of their forms; the published figures of IOF/ROL, with our ranks and features."""

import contextlib
import csv
import hashlib
import io
import math
import re
import unicodedata
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.environment.features import FEATURES, history_features
from rl_eval.domains.qase.environment.ranking import apfd, mid_ranks
from rl_eval.domains.qase.formats.history_csv import read_history_csv
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.model.execution_log import NO_VERDICT, PASS
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.errors import InputError

FILE = Path(__file__).resolve().parents[5] / "shared" / "data" / "iofrol" / "iofrol.csv"
needs_file = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE.name} is not here")


@pytest.fixture(scope="module")
def history():
    result = load(str(FILE))
    return result.project, result.log


def mean_apfd(log, scores):
    """Over the failing cycles of at least 6 cases: the mean, and how many there are."""
    values = []
    for cycle in range(len(log.cycles)):
        rows = log.cycle == cycle
        failed = log.verdict[rows] == 1
        if failed.any() and len(failed) >= 6:
            real = np.ones((1, len(failed)), bool)
            values.append(apfd(mid_ranks(scores[rows][None].astype(float), real), failed[None], real)[0])
    return float(np.mean(values)), len(values)


@needs_file
def test_published_figures(history):
    project, log = history
    assert (len(log), len(project.cases), len(log.cycles)) == (32_260, 1_941, 320)
    chance, cycles = mean_apfd(log, np.zeros(len(log)))
    assert cycles == 205
    assert chance == pytest.approx(0.5, abs=1e-9), "ties count their mean rank, which is chance exactly"
    drawn = np.mean([mean_apfd(log, np.random.default_rng(i).random(len(log)))[0] for i in range(5)])
    assert drawn == pytest.approx(0.5, abs=0.01)
    assert mean_apfd(log, log.verdict)[0] == pytest.approx(0.798, abs=0.001)
    # the mean of LastResults as the file has it, which in 4,596 rows holds verdicts of the very cycle
    lengths = np.diff(log.earlier_start)
    summed = np.concatenate([[0], np.cumsum(log.earlier_verdicts, dtype=np.int64)])
    recorded = (summed[log.earlier_start[1:]] - summed[log.earlier_start[:-1]]) / np.maximum(lengths, 1)
    assert mean_apfd(log, np.where(lengths == 0, 1.0, recorded))[0] == pytest.approx(0.637, abs=0.004)


@needs_file
def test_our_features_use_only_earlier_cycles_and_score_as_well(history):
    project, log = history
    rate = history_features(project, log)[:, FEATURES[-20:].index("failure_rate")]
    assert mean_apfd(log, rate)[0] == pytest.approx(0.641, abs=0.001)


HISTORY = "Id;Name;Duration;LastRun;LastResults;Verdict;Cycle"
ROW = "1;a;5;2015-02-13 16:13:00;[];1;1"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_executions_go_by_cycle_whatever_the_order_of_the_file(end):
    rows = ["1;a;5;2015-02-13 16:13:00;[1, 0];1;7", "2;b;6;;[];0;2", "3;a;7;2015-02-14 16:13:00;[1, 1, 0];0;7"]
    project, log = read_history_csv(("\ufeff" + end.join([HISTORY, *rows, ""])).encode(), "h.csv", Notes())
    assert [project.cases[i].title for i in log.case] == ["b", "a", "a"]
    assert (log.cycles, log.cycle.tolist(), log.verdict.tolist()) == (("2", "7"), [0, 1, 1], [0, 1, 0])
    assert log.earlier_verdicts.tolist() == [1, 0, 1, 1, 0]
    assert log.earlier_start.tolist() == [0, 0, 2, 5]
    assert math.isnan(log.started[0])
    assert log.started[1] == 1423843980.0


def test_last_results_that_are_not_the_earlier_verdicts_are_reported():
    notes = Notes()
    rows = [ROW, "2;a;5;2015-02-14 16:13:00;[0];1;2"]
    read_history_csv("\n".join([HISTORY, *rows]).encode(), "h.csv", notes)
    assert "LastResults of 1 rows are not the earlier verdicts of the file: not used" in notes.counts


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            [HISTORY.replace("Verdict", "Verdikt"), ROW],
            "line 1: the column 'Verdict' is missing: did you mean",
        ),
        ([HISTORY], "has 0 rows where 1 to"),
        ([HISTORY, ROW, "2;b;5"], "line 3: 3 columns where 7 are expected"),
        ([HISTORY, ROW, "", ROW], "line 3: 1 columns where 7 are expected"),
        ([HISTORY, ROW, ROW], "line 3, column 'Id': '1' appears twice"),
        ([HISTORY, ROW.replace("1;a", ";a")], "line 2, column 'Id': '' where an id is needed"),
        ([HISTORY, ROW.replace(";a;", ";;")], "line 2, column 'Name': '' where a name is needed"),
        ([HISTORY, ROW.replace(";5;", ";-5;")], "line 2, column 'Duration': '-5' where a number from 0"),
        ([HISTORY, ROW.replace(";5;", ";NaN;")], "line 2, column 'Duration': 'NaN' where a number from 0"),
        ([HISTORY, ROW.replace("16:13:00", "noon")], "line 2, column 'LastRun': '2015-02-13 noon' where a time"),
        ([HISTORY, ROW.replace("[]", "[0, 2]")], "line 2, column 'LastResults': '[0, 2]' where a list such as [0, 1]"),
        ([HISTORY, ROW.replace("[]", "[0 1]")], "column 'LastResults'"),
        ([HISTORY, ROW[:-3] + "2;1"], "line 2, column 'Verdict': '2' where 0 (passed), 1 (failed) or a word"),
        ([HISTORY, ROW[:-1]], "line 2, column 'Cycle': '' where a number, a date or another name"),
    ],
)
def test_a_faulty_execution_is_reported_with_line_and_column(lines, sentence):
    with pytest.raises(InputError) as message:
        read_history_csv("\n".join(lines).encode(), "h.csv", Notes())
    assert sentence in str(message.value)


@settings(max_examples=80)
@given(st.binary(max_size=80))
def test_random_bytes_after_a_history_header_are_refused_or_read(data):
    with contextlib.suppress(InputError):
        project, log = read_history_csv((HISTORY + "\n").encode() + data, "h.csv", Notes())
        assert log.n_cases == len(project.cases) == len(np.unique(log.case))


VARIED = [
    "1;login;5;2015-02-13 16:13:00;[];1;1",
    "2;pay, later;6.5;2015-02-13 16:20:00;[];0;1",
    "3;login;7;2015-02-14 16:13:00;[1];0;2",
    "4;pay, later;8;2015-02-14 16:14:00;[0];1;2",
    "5;login;9;2015-02-15 16:13:00;[0, 1];1;10",
]


def written(rows, separator=";", quote=csv.QUOTE_MINIMAL, **columns):
    """The rows in another form; a column is changed by a function of its value, and left out by None."""
    values = [dict(zip(HISTORY.split(";"), row.split(";"), strict=True)) for row in rows]
    names = [name for name in HISTORY.split(";") if columns.get(name, str) is not None]
    file = io.StringIO(newline="")
    table = csv.writer(file, delimiter=separator, quoting=quote, lineterminator="\n")
    table.writerow(names)
    table.writerows([[columns.get(name, str)(row[name]) for name in names] for row in values])
    return file.getvalue().encode()


def assert_equal_logs(one, other, *fields):
    for name in fields or ("case", "cycle", "verdict", "duration_ms", "started", "earlier_verdicts", "earlier_start"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


WORDS = {"0": "Passed", "1": "FAILED"}
FORMS = {
    "commas": {"separator": ","},
    "tabs": {"separator": "\t"},
    "quotes": {"quote": csv.QUOTE_ALL},
    "iso": {"LastRun": lambda time: time.replace(" ", "T") + "Z"},
    "zone": {"LastRun": lambda time: f"{time[:11]}{int(time[11:13]) - 5:02d}{time[13:]}-0500"},
    "fraction": {"LastRun": lambda time: f"{time}.000000"},
    "minutes": {"LastRun": lambda time: time[:-3]},
    "seconds": {"LastRun": lambda time: str(seconds(time))},
    "fractional seconds": {"LastRun": lambda time: f"{seconds(time)}.0"},
    "milliseconds": {"LastRun": lambda time: str(1000 * seconds(time))},
    "words": {"Verdict": WORDS.get},
    "words in lists": {"LastResults": lambda text: re.sub("[01]", lambda verdict: repr(WORDS[verdict[0]]), text)},
    "floats": {"Verdict": lambda verdict: f"{verdict}.0"},
    "ids that are texts": {"Id": lambda key: f"run/{key}"},
    "cycles that are hashes": {"Cycle": lambda cycle: hashlib.sha1(cycle.encode()).hexdigest()},
    "cycles that are dates": {"Cycle": lambda cycle: f"2015-02-{int(cycle):02d}"},
    "other cases of names": {"separator": ","},
}


def seconds(time):
    return int(datetime.fromisoformat(f"{time}+00:00").timestamp())


@pytest.mark.parametrize("form", FORMS)
def test_the_same_executions_are_read_from_any_form(form, tmp_path):
    expected_project, expected = read_history_csv(written(VARIED), "h.csv", Notes())
    data = written(VARIED, **FORMS[form])
    if form == "other cases of names":
        data = data.replace(b"LastResults", b"lastresults").replace(b"Verdict", b"VERDICT")
    (tmp_path / "h.csv").write_bytes(data)  # its format is recognised
    imported = load(str(tmp_path / "h.csv"))
    assert imported.project == expected_project
    assert_equal_logs(imported.log, expected)
    assert any("not whole numbers" in sentence for sentence in imported.notes) == form.startswith("cycles")


@pytest.mark.parametrize("name", ["Id", "Duration", "LastRun", "LastResults"])
def test_a_column_that_is_missing_is_unknown(name):
    notes = Notes()
    project, expected = read_history_csv(written(VARIED), "h.csv", Notes())
    without, log = read_history_csv(written(VARIED, **{name: None}), "h.csv", notes)
    assert without == project
    assert list(notes.counts) == [f"there is no column {name}: its values are unknown"]
    assert_equal_logs(log, expected, "case", "cycle", "verdict")
    if name == "Duration":
        assert np.isnan(log.duration_ms).all()
    if name == "LastRun":
        assert np.isnan(log.started).all()
    if name == "LastResults":
        assert log.earlier_verdicts is None
        assert np.isfinite(history_features(project, log)).all()


def test_named_cycles_without_times_are_in_the_order_of_the_file():
    notes = Notes()
    cycles = {"1": "f0", "2": "a1", "10": "c2"}
    data = written(VARIED, LastRun=None, Cycle=cycles.get)
    _, log = read_history_csv(data, "h.csv", notes)
    assert log.cycles == ("f0", "a1", "c2")
    assert any("no LastRun" in sentence for sentence in notes.counts)


def test_named_cycles_are_in_the_order_of_their_earliest_run():
    cycles = {"1": "z", "2": "y", "10": "x"}
    _, log = read_history_csv(written(VARIED[::-1], Cycle=cycles.get), "h.csv", Notes())
    assert log.cycles == ("z", "y", "x")


def test_words_that_are_no_verdict_and_fractions_of_seconds():
    rows = [VARIED[0].replace(";1;1", ";skipped;1"), VARIED[1].replace("16:20:00", "16:20:00.25")]
    _, log = read_history_csv("\n".join([HISTORY, *rows]).encode(), "h.csv", Notes())
    assert log.verdict.tolist() == [NO_VERDICT, PASS]
    assert log.started.tolist() == [seconds("2015-02-13 16:13:00"), seconds("2015-02-13 16:20:00") + 0.25]


def test_names_are_one_case_however_their_accents_are_composed():
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFD", "NFC")]
    rows = [f"{i};{name};5;;[];0;{i}" for i, name in enumerate(names)]
    project, log = read_history_csv("\n".join([HISTORY, *rows]).encode(), "h.csv", Notes())
    assert ([case.title for case in project.cases], log.case.tolist()) == ([names[0]], [0, 0])


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (written(VARIED, LastRun=lambda time: "13.02.2015 16:13"), "2015-02-13T16:13:00Z, or seconds since 1970,"),
        (written(VARIED, LastRun=lambda time: "-5"), "line 2, column 'LastRun': '-5'"),
        (written(VARIED, Verdict=lambda verdict: "true"), "0 (passed), 1 (failed) or a word such as failed"),
        (written(VARIED, Duration=lambda value: "1,5"), "'1,5' where a number from 0, in milliseconds,"),
        (written(VARIED, LastResults=lambda value: "['maybe']"), "a list such as [0, 1] or ['passed', 'failed']"),
        (written(VARIED, separator=",").replace(b'"', b""), "columns where 7 are expected, with lists in quotes"),
        (written(VARIED, quote=csv.QUOTE_ALL)[:-3], "line 6: not CSV"),
        (written(VARIED, Cycle=None), "the column 'Cycle' is missing"),
    ],
)
def test_what_cannot_be_read_is_a_sentence_with_the_conversion(data, sentence):
    with pytest.raises(InputError) as message:
        read_history_csv(data, "h.csv", Notes())
    assert sentence in str(message.value)


@needs_file
def test_the_real_history_is_the_same_in_another_form():
    rows = FILE.read_text().splitlines()[1:2001]
    expected_project, expected = read_history_csv("\n".join([HISTORY, *rows]).encode(), "h.csv", Notes())
    words = {"Verdict": WORDS.get, "LastRun": FORMS["iso"]["LastRun"], "Cycle": lambda cycle: f"c{cycle}"}
    project, log = read_history_csv(written(rows, ",", **words), "h.csv", Notes())
    assert project == expected_project
    by_number = np.argsort([int(name[1:]) for name in log.cycles])
    assert by_number.tolist() == list(range(len(log.cycles))), "the numbers are in the order of time"
    assert_equal_logs(log, expected)
