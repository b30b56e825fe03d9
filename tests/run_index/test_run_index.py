"""The index of runs: as the files are, whatever the index holds."""

import json
import os
import sqlite3
import time

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.run_index import (
    Entry,
    Query,
    best_run,
    latest_resumable,
    latest_run,
    list_runs,
    ranked,
    read_entry,
    select,
)
from rl_eval.run_index import _refresh as refresh
from tests.run_index.many_runs import verdict, write_many, write_one


def paths(entries):
    return [entry.path for entry in entries]


@pytest.fixture
def reads(monkeypatch):
    """The paths of the runs whose files are read."""
    read = []
    monkeypatch.setattr(refresh, "read_entry", lambda directory, path: read.append(path) or read_entry(directory, path))
    return read


def test_an_entry_has_what_the_files_say(tmp_path):
    write_one(tmp_path / "day" / "run", 61, score=481.5, decision="FAIL")
    (entry,) = list_runs(tmp_path).entries
    assert (entry.path, entry.name, entry.status, entry.env, entry.agent) == (
        "day/run",
        "run",
        "finished",
        "cartpole",
        "ppo",
    )
    assert (entry.seed, entry.env_steps, entry.machine_s, entry.metric, entry.score) == (
        1,
        20_480,
        5.0,
        "mean_return",
        481.5,
    )
    assert entry.started == "2026-03-01T00:01:01+00:00"
    (result,) = entry.suites
    assert (result.suite, result.part, result.decision, result.passed, result.criteria) == (
        "pole",
        "test",
        "FAIL",
        0,
        1,
    )
    assert entry.decision == "FAIL"
    assert Entry.from_json(entry.to_json()) == entry


def test_only_changed_runs_are_read_again(tmp_path, reads):
    write_many(tmp_path, 6)
    first = list_runs(tmp_path).entries
    assert len(reads) == 6
    assert list_runs(tmp_path).entries == first
    assert len(reads) == 6
    changed = tmp_path / first[2].path
    (changed / "verdict.json").write_text(json.dumps({"schema": 1, "suites": [verdict("INCONCLUSIVE", 470.0)]}) + "\n")
    again = list_runs(tmp_path).entries
    assert reads[6:] == [first[2].path]
    assert again[2].decision == "INCONCLUSIVE"


def test_removed_runs_leave_the_index(tmp_path):
    run = write_one(tmp_path / "a")
    write_one(tmp_path / "b", 1)
    assert len(list_runs(tmp_path).entries) == 2
    for file in run.iterdir():
        file.unlink()
    run.rmdir()
    assert paths(list_runs(tmp_path).entries) == ["b"]
    rows = sqlite3.connect(tmp_path / "index.sqlite").execute("SELECT path FROM entries_1").fetchall()
    assert rows == [(b"b",)]


DAMAGES = {
    "not a database": lambda file: file.write_bytes(b"no database" * 100),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:5000]),
    "empty": lambda file: file.write_bytes(b""),
    "a link": lambda file: (file.rename(file.with_name("other")), file.symlink_to("other")),
    "a trigger": lambda file: sqlite3.connect(file).executescript(
        "CREATE TRIGGER t AFTER INSERT ON entries_1 BEGIN DELETE FROM entries_1; END"
    ),
    "another schema": lambda file: sqlite3.connect(file).executescript("CREATE TABLE more (x)"),
    "entries that are none": lambda file: sqlite3.connect(file).executescript(
        """UPDATE entries_1 SET entry = '{"path": 1, "suites": []}'"""
    ),
    "entries of other paths": lambda file: sqlite3.connect(file).executescript(
        "UPDATE entries_1 SET path = path || x'78'"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_made_anew(damage, tmp_path, reads):
    write_many(tmp_path, 3)
    before = list_runs(tmp_path).entries
    DAMAGES[damage](tmp_path / "index.sqlite")
    assert list_runs(tmp_path).entries == before
    reads.clear()
    assert list_runs(tmp_path).entries == before
    assert reads == []


def test_an_index_that_cannot_be_written_is_no_error(tmp_path):
    write_many(tmp_path, 3)
    (tmp_path / "index.sqlite").mkdir()
    assert len(list_runs(tmp_path).entries) == 3


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("run.json", "{", "run.json cannot be read"),
        ("run.json", '{"schema": 1, "status": "fine"}', "has status 'fine'"),
        ("verdict.json", '{"schema": 1, "suites": [1]}', "verdict.json is damaged"),
        ("verdict.json", '{"schema": 1, "suites": [{"criteria": [{"decision": "GOOD"}]}]}', "does not exist"),
    ],
)
def test_what_cannot_be_read_is_an_entry_with_its_problem(file, content, problem, tmp_path):
    run = write_one(tmp_path / "run")
    (run / file).write_text(content)
    (entry,) = list_runs(tmp_path).entries
    assert problem in entry.problem
    assert entry.decision == "NONE"
    assert (entry.status == "unreadable") == (file == "run.json")


def test_links_are_not_followed(tmp_path):
    elsewhere = write_one(tmp_path / "elsewhere" / "run")
    outputs = tmp_path / "outputs"
    write_one(outputs / "real")
    (outputs / "folder").symlink_to(elsewhere.parent)
    (outputs / "real" / "run.json").rename(outputs / "run.json.real")
    (outputs / "real" / "run.json").symlink_to(elsewhere / "run.json")
    (entry,) = list_runs(outputs).entries
    assert (entry.path, entry.status) == ("real", "unreadable")
    assert "is a link" in entry.problem


def test_names_that_are_no_text_are_listed(tmp_path):
    directory = os.fsdecode(os.fsencode(tmp_path) + b"/\xff<b>")
    os.mkdir(directory)
    run = write_one(tmp_path / "x")
    for file in run.iterdir():
        os.rename(file, os.path.join(directory, file.name))
    run.rmdir()
    first = list_runs(tmp_path).entries
    assert paths(first) == ["\udcff<b>"]
    assert list_runs(tmp_path).entries == first


def test_values_of_any_type_are_no_error(tmp_path):
    info = {"env": ["x"], "agent": 7, "seed": "s", "env_steps": 1e400, "cost": [], "results": 3, "metric": {}}
    write_one(tmp_path / "run", started=5, **{key: value for key, value in info.items() if key != "agent"})
    (entry,) = list_runs(tmp_path).entries
    assert (entry.env, entry.seed, entry.env_steps, entry.started) == ("", None, None, "")
    assert Entry.from_json(entry.to_json()) == entry


@pytest.fixture
def outputs(tmp_path):
    """Runs whose verdict and score disagree about which is best."""
    for number, (decision, score) in enumerate([("FAIL", 499.0), ("PASS", 480.0), ("PASS", 485.0), (None, 495.0)]):
        write_one(tmp_path / f"r{number}", number, decision=decision, score=score)
    write_one(tmp_path / "r4", 4, status="interrupted", decision=None)
    write_one(tmp_path / "r5", 5, agent="dqn", status="failed", decision=None, env="threat", env_id=None)
    return tmp_path


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), "r5 r4 r3 r2 r1 r0"),
        (Query(reverse=True), "r0 r1 r2 r3 r4 r5"),
        (Query(sort="score"), "r0 r3 r5 r4 r2 r1"),
        (Query(sort="verdict"), "r2 r1 r5 r4 r3 r0"),
        (Query("PPO seed=2"), "r2"),
        (Query("finished mean_return"), "r3 r2 r1 r0"),
        (Query(env="threat"), "r5"),
        (Query(agent="dqn"), "r5"),
        (Query(decision="NONE"), "r5 r4 r3"),
        (Query(decision="PASS", suite="pole"), "r2 r1"),
        (Query(suite="other"), ""),
        (Query(status="interrupted"), "r4"),
    ],
)
def test_search_filters_and_order(query, expected, outputs):
    assert paths(select(list_runs(outputs).entries, query)) == expected.split()


def test_the_best_run_is_that_of_the_verdict_then_of_the_score(outputs):
    assert paths(ranked(list_runs(outputs).entries, "pole")) == ["r2", "r1", "r3", "r0"]
    assert paths(ranked(list_runs(outputs).entries, "pole", higher=False)) == ["r1", "r2", "r3", "r0"]
    run, reason = best_run(outputs, "cartpole", "pole", lambda run: True)
    assert run.path == outputs / "r2"
    assert "PASS of pole, mean_return 485 on validation" in reason
    run, reason = latest_run(outputs, "cartpole", lambda run: run.config["seed"] < 3)
    assert (run.path, reason) == (outputs / "r2", "the newest of 4 finished runs of cartpole")
    with pytest.raises(InputError, match=r"no finished run in .* is of threat"):
        latest_run(outputs, "threat", lambda run: True)


def test_an_index_that_lies_chooses_no_run(outputs):
    list_runs(outputs)
    with sqlite3.connect(outputs / "index.sqlite") as database:
        database.execute("""UPDATE entries_1 SET entry = replace(entry, '"FAIL"', '"PASS"')""")
    assert list_runs(outputs).entries[-1].decision == "PASS"
    assert best_run(outputs, "cartpole", "pole", lambda run: True)[0].path == outputs / "r2"
    assert list_runs(outputs).entries[-1].decision == "FAIL"


def test_the_latest_run_to_resume_is_one_that_nobody_trains(outputs):
    from rl_eval.run import lock

    write_one(outputs / "r6", 6, status="running", decision=None)
    assert latest_resumable(outputs).path == outputs / "r6"
    with lock(outputs / "r6"):
        assert latest_resumable(outputs).path == outputs / "r4"
        with lock(outputs / "r4"), pytest.raises(InputError, match="can be resumed"):
            latest_resumable(outputs)


def test_the_command_prints_a_table_that_fits(outputs, monkeypatch, capsys):
    monkeypatch.chdir(outputs)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", ".", "--sort", "verdict", "--limit", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["run", "env", "agent", "seed", "steps", "time", "score", "verdict"]
    assert lines[2].split()[0] == "r2"
    assert lines[2].split()[-1] == "PASS"
    assert lines[3].split()[-1] == "PASS"
    assert lines[-1] == "3 of 6 runs shown; 6 in ."


def test_a_run_that_wrote_nothing_for_long_is_silent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # so that paths are short and rows are lines
    for name, age in (("busy", 0), ("killed", 7_200)):
        run = write_one(tmp_path / name, status="running", decision=None)
        for file in run.iterdir():
            os.utime(file, (time.time() - age,) * 2)
    assert main(["list", ".", "--sort", "name"]) == 0
    busy, killed = capsys.readouterr().out.splitlines()[2:4]
    assert busy.split()[-1] == "running"
    assert killed.split()[-6:] == ["silent", "for", "2", "h", "0", "min"]


def test_the_command_prints_json(outputs, capsys):
    assert main(["list", str(outputs), "--json", "--env", "threat"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["found"], values["total"]) == (1, 6)
    assert values["runs"][0]["path"] == "r5"
    assert values["runs"][0]["decision"] == "NONE"


@pytest.mark.parametrize("arguments", [["nowhere"], [".", "--sort", "sed"], [".", "--verdict", "good"]])
def test_bad_input_of_the_command_is_one_sentence(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["list", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.verify
def test_five_thousand_runs_are_listed_in_under_a_second_of_processor_time(tmp_path):
    write_many(tmp_path, 5000)
    list_runs(tmp_path)
    begun = time.process_time()
    listing = list_runs(tmp_path)
    found = select(listing.entries, Query("ppo seed=4", sort="score", decision="PASS"))
    assert time.process_time() - begun < 1
    assert len(listing.entries) == 5000
    assert 0 < len(found) < 1000
