"""The verdict of a suite on a terminal, in a pipe and in a log."""

import math
import re
import shlex

import pytest
from rich.console import Console

from rl_eval.terminal import console_for, criteria_table, print_commands, print_suite, print_verdict
from tests.terminal.streams import ESCAPE, TextStream, rendered


def criterion(name, decision, **values):
    row = {"suite": "threat", "criterion": name, "metric": "f1", "estimate": 0.9271, "direction": "at_least"}
    return {**row, "threshold": 0.9, "units": 5000, "decision": decision, "detail": "", **values}


VERDICT = [
    criterion("f1", "PASS"),
    criterion("alarms", "FAIL", estimate=0.050004, direction="at_most", threshold=0.05, detail="too many [red]alarms"),
    criterion("beats", "INCONCLUSIVE", direction="better_than", threshold=0.88, detail="1,200 more cases"),
    criterion("repeats", "NEEDS_RUNS", estimate=None, units=None, detail="python train.py env=threat -m seed=1,2"),
    criterion("spread", "NEEDS_RUNS", estimate=None, units=None, detail="python train.py env=threat -m seed=1,2"),
    criterion("reward", "ERROR", estimate=math.nan, threshold=None, detail="no finished run"),
]


def verdict_text(rows=VERDICT, width=80, **stream):
    out = TextStream(**stream)
    print_verdict(rows, console=Console(file=out, width=width, markup=False, highlight=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_every_criterion_fits_the_width(width, terminal):
    text = ESCAPE.sub("", rendered(criteria_table(VERDICT), width=width, terminal=terminal))
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) == 2 + len(VERDICT)
    for row, line in zip(VERDICT, lines[2:], strict=True):
        assert line.split()[0] == row["criterion"]
        assert line.rstrip().endswith(row["decision"].replace("_", " "))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_interval_and_how_many_units_it_took(width):
    rows = [
        criterion(
            "catches_threats",
            "PASS",
            interval=(0.90312, 0.95),
            units=3120,
            units_max=40_000,
            unit="case",
            decided_at=1540,
        ),
        criterion("false_alarms", "INCONCLUSIVE", interval=[None, 0.05], units=400, units_max=400, unit="case"),
        criterion("stable_variance", "ERROR", estimate=None, units=None),
    ]
    lines = [line.rstrip() for line in rendered(criteria_table(rows), width=width).splitlines()]
    assert max(map(len, lines)) <= width
    assert all(row["criterion"] in line for row, line in zip(rows, lines[2:], strict=True))
    assert all(name in lines[0] for name in ("estimate", "played", "decision"))
    assert "0.9271 " in lines[2]
    assert ("0.903..0.95 " in lines[2]) == ("-∞..0.05 " in lines[3]) == (width > 60)
    assert lines[3].endswith("INCONCLUSIVE")
    assert ("≥ 0.9 " in lines[2]) == (width > 60)
    assert "3,120/40,000 " in lines[2]
    assert lines[2].endswith("PASS after 1,540")
    assert ("3,120/40,000 cases " in lines[2]) == (" 400 cases " in lines[3]) == (width > 80)
    assert ("metric" in lines[0]) == (width > 80)


RUN = "outputs/2026-11-29/08-15-56_threat_ppo_sweep/1_seed=2"
SUITE = [
    criterion("catches_threats", "PASS", estimate=0.8088, interval=(0.7891, 0.8283), threshold=0.75, units=40_000,
              units_max=40_000, unit="case", decided_at=656, run=RUN, metric="false_positive_rate",
              detail=f"false_positive_rate 0.81: passed after 656 cases (the worst of 2 runs, {RUN}); warning: a; b"),
    criterion("quick", "PASS", units=1, unit="run", run=RUN, detail="training.wall_s 1 meets at_most 2; warning: a"),
    criterion("worth_running", "PASS", reference="constant:0", units=40_000, unit="case"),
    criterion("critic", "FAIL", detail="misses"),
    criterion("controls", "PASS", direction="", detail=f"no useless policy passes: {'random, constant:1, ' * 9}"),
    criterion("held_out", "ERROR", direction="", detail="it leaked"),
]  # fmt: skip
FACTS = [
    ("judged", f"{RUN} (ppo, seed 2, 32,768 steps, started 9m 08s ago)"),
    ("test set", "40,000 cases of the test part of threat"),
    ("assumed", "cases are independent draws of one source; the policy does not change while it is judged"),
]


@pytest.mark.parametrize("width", [80, 140])
def test_a_suite_fits_a_terminal_and_no_word_is_broken(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    out = TextStream(terminal=True)
    print_suite("suites/threat.yaml", SUITE, console_for(out), FACTS)
    text = ESCAPE.sub("", out.getvalue())
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    words = text.split()
    for _, fact in FACTS:
        assert all(word in words for word in fact.split())
    assert "0.8088" in words
    assert "0.789..0.828" in words
    assert "PASS after 656" in text
    assert ("worst run" in text) == ("false_positive_rate" in text) == (width > 80)
    assert text.startswith("suites/threat.yaml: 4 of 6 criteria pass; 1 fails, 1 could not be judged")


def test_a_pipe_gets_a_line_a_fact_and_a_note_each():
    out = TextStream()
    print_suite("suites/threat.yaml", SUITE, console_for(out), FACTS)
    lines = out.getvalue().splitlines()
    assert lines[1:4] == [f"  {label:<8} {text}" for label, text in FACTS]
    assert lines[-5:] == [
        f"PASS controls: {SUITE[-2]['detail'].strip()}",
        "ERROR held_out",
        "note on catches_threats, quick: warning: a",
        "note on catches_threats: b",
        "note on worth_running: compared with constant:0",
    ]


def test_commands_are_rows_that_a_shell_reads_as_one_line(monkeypatch):
    commands = {"suites/a.yaml": "python train.py env=x -m seed=1,2", "suites/bcd.yaml": LONG}
    monkeypatch.setenv("COLUMNS", "80")
    out, pipe = TextStream(terminal=True), TextStream()
    print_commands(console_for(out), commands)
    print_commands(console_for(pipe), commands)
    assert pipe.getvalue().splitlines() == [
        f"  suites/a.yaml    {commands['suites/a.yaml']}",
        f"  suites/bcd.yaml  {LONG}",
    ]
    text = ESCAPE.sub("", out.getvalue())
    assert max(map(len, text.splitlines())) <= 80
    assert shlex.split(text.replace("\\\n", "")) == shlex.split(pipe.getvalue())


def test_an_estimate_that_just_misses_shows_that_it_does():
    line = next(line for line in verdict_text().splitlines() if line.startswith("alarms "))
    assert "0.050004" in line
    assert "≤ 0.05 " in line


def test_the_word_carries_the_decision_and_colour_only_helps(monkeypatch):
    coloured = rendered(criteria_table(VERDICT), terminal=True)
    for code, decision in (("32", "PASS"), ("31", "FAIL"), ("33", "INCONCLUSIVE"), ("31", "ERROR")):
        assert f"\x1b[1;{code}m{decision}" in coloured
    assert "\x1b" not in rendered(criteria_table(VERDICT))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", verdict_text(terminal=True))


def test_a_stream_that_is_not_utf8_gets_ascii():
    rows = [*VERDICT, criterion("précision ≥ x", "FAIL", detail="日本 \ud800")]
    text = verdict_text(rows, encoding="ascii")
    assert text.isascii()
    assert ">= 0.9" in text
    assert text.count("+-") == text.count("|") == 0


def test_names_are_shown_as_they_are_and_cannot_steer_the_terminal():
    rows = [criterion("[red]a[/red]", "FAIL", suite="[/]", detail="b\x1b[2Jc\nd :smile:")]
    text = verdict_text(rows)
    assert "[red]a[/red]" in text
    assert "FAIL [/]/[red]a[/red]: b?[2Jc d :smile:" in text
    assert "\x1b" not in text


LONG = "python train.py agent=ppo env=threat 'agent.network.widths=[256,256]' total_steps=1000000 -m seed=1,2,3,4,5"


def test_failures_are_lines_below_the_suites_and_commands_are_not_wrapped_in_a_pipe():
    rows = [*VERDICT, criterion("seeds", "NEEDS_RUNS", detail=LONG, suite="other")]
    below = verdict_text(rows).split("\n\n")[2].splitlines()
    assert below == [
        "FAIL threat/alarms: too many [red]alarms",
        "INCONCLUSIVE threat/beats: 1,200 more cases",
        "ERROR threat/reward: no finished run",
        "NEEDS RUNS threat/repeats, threat/spread, decided by:",
        "  python train.py env=threat -m seed=1,2",
        "NEEDS RUNS other/seeds, decided by:",
        f"  {LONG}",
        "1 of 7 criteria passes; 1 fails, 1 could not be judged, 1 is inconclusive, 3 need more runs",
    ]


def test_what_is_not_checked_says_why_and_changes_no_result():
    unchecked = criterion("held_out", "NOT_CHECKED", direction="", estimate=None, detail="there is no record")
    lines = verdict_text([criterion("f1", "PASS"), unchecked]).splitlines()
    assert lines[0] == "threat: 1 of 2 criteria passes; 1 is not checked"
    assert lines.count("NOT CHECKED held_out: there is no record") == 1
    assert not any(line.startswith("NOT CHECKED threat/") for line in lines)
    coloured = verdict_text([criterion("f1", "PASS"), unchecked], terminal=True)
    assert "\x1b[1mNOT CHECKED\x1b[0m held_out" in coloured  # bold, in the terminal's own colour
    assert coloured.startswith("\x1b[1;32mthreat:")  # green, as where all pass


def test_all_passing_and_nothing_judged_say_so():
    one = [criterion("f1", "PASS"), criterion("f2", "PASS")]
    assert verdict_text(one).startswith("threat: 2 of 2 criteria pass\n")
    assert verdict_text(one).count("criteria pass") == 1  # not again below
    assert verdict_text([*one, criterion("f1", "PASS", suite="other")]).endswith("3 of 3 criteria pass\n")
    assert verdict_text([]) == "no criteria were judged\n"


def test_a_long_name_is_folded_not_cut():
    name = "x" * 100
    text = verdict_text([criterion(name, "PASS")])
    assert text.split("\n\n")[0].count("x") == 100
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_a_verdict_on_validation_says_so_in_every_line_that_can_be_read_alone():
    rows = [criterion("f1", "PASS", by="evidence", detail="f1 0.93", part="validation"), criterion("x", "PASS")]
    lines = verdict_text(rows, width=120).splitlines()
    on_validation = [line for line in lines if "validation" in line]
    assert [line.split()[:3] for line in on_validation] == [
        ["threat:", "2", "of"],
        ["f1", "(validation)", "f1"],
    ]
    assert "validation" not in verdict_text()
