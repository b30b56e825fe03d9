import io
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rl_eval.run import Run
from rl_eval.terminal import (
    Progress,
    console_for,
    criteria_table,
    differing_keys,
    print_error,
    print_verdict,
    sweep_table,
)

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Stream(io.StringIO):
    """A stream that says what it is."""

    def __init__(self, terminal=False, encoding="utf-8"):
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    def isatty(self):
        return self._terminal

    @property
    def encoding(self):
        return self._encoding

    def write(self, text):
        text.encode(self._encoding)  # raises, as a real stream would
        return super().write(text)


@pytest.fixture(autouse=True)
def a_plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


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


def shown(*things, width=80, **stream):
    out = Stream(**stream)
    console = Console(
        file=out, width=width, markup=False, highlight=False, color_system="standard" if out.isatty() else None
    )
    for thing in things:
        console.print(thing)
    return out.getvalue()


def verdict_text(rows=VERDICT, width=80, **stream):
    out = Stream(**stream)
    print_verdict(rows, console=Console(file=out, width=width, markup=False, highlight=False))
    return out.getvalue()


# the table of criteria


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("terminal", [False, True])
def test_every_criterion_is_whole_within_the_width(width, terminal):
    text = ESCAPE.sub("", shown(criteria_table(VERDICT), width=width, terminal=terminal))
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) == 2 + len(VERDICT)
    for row, line in zip(VERDICT, lines[2:], strict=True):
        assert line.split()[:2] == [row["suite"], row["criterion"]]
        assert line.rstrip().endswith(row["decision"].replace("_", " "))
    assert ("metric" in lines[0]) == (width == 120)


@pytest.mark.parametrize("width", [80, 120])
def test_the_interval_and_how_many_units_it_took(width):
    rows = [
        criterion("catches_threats", "PASS", interval=(0.90312, 0.95), units=3120, units_max=40_000),
        criterion("false_alarms", "INCONCLUSIVE", interval=[None, 0.05], units=400, units_max=400),
        criterion("stable_variance", "ERROR", estimate=None, units=None),
    ]
    lines = [line.rstrip() for line in shown(criteria_table(rows), width=width).splitlines()]
    assert max(map(len, lines)) <= width
    assert all(row["criterion"] in line for row, line in zip(rows, lines[2:], strict=True))
    assert ("3,120/40k" if width == 80 else "3,120/40,000") in lines[2]
    assert " 400 " in lines[3]
    if width == 120:
        assert "interval" in lines[0]
        assert "0.903..0.95 " in lines[2]
        assert "?..0.05 " in lines[3]
    lines = shown(criteria_table(rows[:1]), width=width).splitlines()
    assert "0.903..0.95 " in lines[2]  # where there is room


def test_evidence_says_how_much_it_took():
    said = "f1 0.93 ± 0.02 ≥ 0.9: passed after 57 of 400 cases"
    rows = [criterion("f1", "PASS", by="evidence", detail=said), criterion("quick", "PASS", by="estimate", detail="x")]
    below = verdict_text(rows).split("\n\n")[1].splitlines()
    assert below == [f"PASS threat/f1: {said}", "2 of 2 criteria pass"]


def test_an_estimate_that_just_misses_shows_that_it_does():
    (line,) = [line for line in verdict_text().splitlines() if line.startswith("threat") and "alarms" in line]
    assert "0.050004" in line
    assert "≤ 0.05 " in line


def test_the_word_carries_the_decision_and_colour_only_helps(monkeypatch):
    coloured = shown(criteria_table(VERDICT), terminal=True)
    for code, decision in (("32", "PASS"), ("31", "FAIL"), ("33", "INCONCLUSIVE"), ("31", "ERROR")):
        assert f"\x1b[1;{code}m{decision}" in coloured
    assert "\x1b" not in shown(criteria_table(VERDICT))
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


def test_below_the_table_each_failure_is_a_line_and_each_command_is_whole():
    long = "python train.py agent=ppo env=threat agent.network.widths=[256,256] total_steps=1000000 -m seed=1,2,3,4,5"
    rows = [*VERDICT, criterion("seeds", "NEEDS_RUNS", detail=long)]
    below = verdict_text(rows).split("\n\n")[1].splitlines()
    assert below == [
        "FAIL threat/alarms: too many [red]alarms",
        "INCONCLUSIVE threat/beats: 1,200 more cases",
        "ERROR threat/reward: no finished run",
        "NEEDS RUNS threat/repeats, threat/spread, decided by:",
        "  python train.py env=threat -m seed=1,2",
        "NEEDS RUNS threat/seeds, decided by:",
        f"  {long}",
        "1 of 7 criteria passes; 1 fails, 1 could not be judged, 1 is inconclusive, 3 need more runs",
    ]


def test_all_passing_and_nothing_judged_say_so():
    assert verdict_text([criterion("f1", "PASS"), criterion("f2", "PASS")]).endswith("2 of 2 criteria pass\n")
    assert verdict_text([]) == "no criteria were judged\n"


def test_a_long_name_is_folded_not_cut():
    name = "x" * 100
    text = verdict_text([criterion(name, "PASS")])
    assert text.split("\n\n")[0].count("x") == 100
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_a_pipe_has_room_for_every_column_and_columns_overrules(monkeypatch):
    assert console_for(Stream()).width == 120
    monkeypatch.setenv("COLUMNS", "70")
    assert console_for(Stream()).width == 70


# the comparison of a sweep


def run(job, *, lr=1e-3, mean=100.0, status="finished", **config):
    info = {"status": status, "env_steps": 200_000, "wall_s": 41.23, "steps_per_s": 4850.9}
    info["results"] = None if mean is None else {"mean": mean, "std": 3.2}
    resolved = {"lr": lr, "seed": 42, "agent": {"name": "ppo", "lr": lr}, "env": {"name": "threat"}, **config}
    return Run(Path(f"/there/outputs/{job}_lr={lr}"), info, resolved)


def test_runs_are_in_the_order_of_their_jobs_and_the_best_is_marked():
    runs = [run(10, lr=3e-3, mean=120.0), run(2, lr=1e-3, mean=231.94), run(0, lr=3e-4, mean=math.nan)]
    runs.append(run(1, lr=1e-2, mean=None, status="failed"))
    rows = shown(sweep_table(runs, {runs[0].path: VERDICT}), width=120).splitlines()
    body = [line.split() for line in rows[2:6]]
    assert [line[0] for line in body] == ["0_lr=0.0003", "1_lr=0.01", "*", "10_lr=0.003"]
    assert [line[-1] for line in body] == ["finished", "failed", "finished", "finished"]
    assert body[2][1:5] == ["2_lr=0.001", "0.001", "200,000", "231.9"]
    assert body[3][-2] == "1/6"
    assert body[2][-2] == "-"
    assert "nan" in body[0]
    assert rows[0].split() == ["run", "lr", "env_steps", "mean", "std", "wall_s", "steps/s", "criteria", "status"]


def test_the_best_of_a_sweep_is_a_run_that_finished():
    runs = [run(0, lr=1e-3, mean=10.0), run(1, lr=1e-2, mean=99.0, status="interrupted")]
    lines = shown(sweep_table(runs), width=120).splitlines()
    assert [line.startswith("*") for line in lines[2:4]] == [True, False]
    assert "*" not in shown(sweep_table([run(0, mean=None, status="failed")]))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_gives_up_columns_not_results(width):
    extra = {f"k{i}": 0 for i in range(3)}
    runs = [run(job, lr=10.0**-job, mean=job, env={"name": "threat", **extra, "k1": job}) for job in range(1, 4)]
    lines = shown(sweep_table(runs), width=width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for column in ("run", "lr", "env.k1", "mean", "criteria", "status"):
        assert column in lines[0].split()
    assert ("steps/s" in lines[0]) == ("not shown" not in lines[-1])


def test_an_empty_sweep_and_a_lone_run_are_tables_too():
    assert "status" in shown(sweep_table([]))
    assert "0_lr=0.001" in shown(sweep_table([run(0)]), width=120)


def test_what_was_varied_is_found():
    base = {"name": "a", "lr": 1, "seed": 1, "hydra": {"run": 1}, "env": {"name": "t", "path": "p"}, "resume": None}
    other = {"name": "b", "lr": 1.0, "seed": 2, "hydra": {"run": 2}, "env": {"name": "t", "path": "q"}, "extra": True}
    assert differing_keys([base, other]) == ["seed", "env.path", "extra"]
    assert differing_keys([base, base]) == []
    assert differing_keys([base]) == []
    assert differing_keys([]) == []


def test_a_key_that_repeats_another_is_left_out():
    configs = [{"agent": {"lr": lr, "gamma": lr}, "lr": lr} for lr in (0.1, 0.2)]
    assert differing_keys(configs) == ["agent.gamma", "lr"]


def test_what_follows_from_the_choice_of_agent_is_left_out():
    ppo, a2c = {"name": "ppo", "n_steps": 256, "clip": 0.2}, {"name": "a2c", "n_steps": 5}
    configs = [{"seed": seed, "agent": agent} for agent in (ppo, a2c) for seed in (1, 2)]
    assert differing_keys(configs) == ["seed", "agent.name"]
    configs.append({"seed": 1, "agent": {**ppo, "n_steps": 512}})
    assert differing_keys(configs) == ["seed", "agent.name", "agent.n_steps"]


def test_true_is_not_one_and_nan_is_itself():
    assert differing_keys([{"a": True}, {"a": 1}]) == ["a"]
    assert differing_keys([{"a": math.nan}, {"a": float("nan")}]) == []
    assert differing_keys([{"a": [1, 2]}, {"a": [1, 3]}]) == ["a"]
    assert differing_keys([{"a": None}, {}]) == ["a"]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers())
CONFIGS = st.dictionaries(st.sampled_from("abcd"), VALUES | st.dictionaries(st.sampled_from("xyz"), VALUES))


@given(st.lists(CONFIGS, max_size=4), st.randoms())
def test_the_order_of_runs_does_not_change_what_differs(configs, random):
    mixed = list(configs)
    random.shuffle(mixed)
    assert set(differing_keys(mixed)) == set(differing_keys(configs))


# progress


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lines_of(stream):
    return [line for line in ESCAPE.sub("", stream.getvalue()).replace("\r", "\n").splitlines() if line]


def test_a_pipe_gets_the_first_line_one_each_ten_seconds_and_the_last():
    stream, clock = Stream(), Clock()
    with Progress(200_000, "ppo on threat", stream=stream, clock=clock) as progress:
        for second in range(41):
            clock.now = 1000.0 + second
            progress.update(second * 5000, episode_return_mean=math.nan if second < 5 else second)
    lines = lines_of(stream)
    assert lines == [
        "ppo on threat: 0/200,000 env steps",
        "ppo on threat: 50,000/200,000 env steps, 5,000 steps/s, return 10, ETA 0:30",
        "ppo on threat: 100,000/200,000 env steps, 5,000 steps/s, return 20, ETA 0:20",
        "ppo on threat: 150,000/200,000 env steps, 5,000 steps/s, return 30, ETA 0:10",
        "ppo on threat: 200,000/200,000 env steps, 5,000 steps/s, return 40, ETA 0:00",
        "ppo on threat: 200,000 env steps, 5,000 steps/s, return 40, done in 0:40",
    ]
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_is_treated_as_a_pipe(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    stream = Stream(terminal=True)
    with Progress(100, "x", stream=stream, clock=Clock()) as progress:
        progress.update(50)
    assert "\x1b" not in stream.getvalue()
    assert len(lines_of(stream)) == 2


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_on_a_terminal_it_is_one_line_that_fits(monkeypatch, width, encoding):
    monkeypatch.setenv("COLUMNS", str(width))
    stream, clock = Stream(terminal=True, encoding=encoding), Clock()
    with Progress(2_000_000, "ppo on [threat]", stream=stream, clock=clock) as progress:
        for second in range(100):
            clock.now += 1
            progress.update(second * 9812, episode_return_mean=-187.345, select_score=0.912, note="saved step_1")
    lines = lines_of(stream)
    assert max(len(line) for line in lines) < width
    assert all(line.startswith("ppo on [threat]") for line in lines)
    if width >= 80:
        assert all(part in lines[-3] for part in ("971k/2M", "9,812 steps/s", "return -187.3", "ETA 1:4"))
    assert ("select 0.912" in lines[-3]) == (width >= 80)


def test_the_bar_grows():
    stream, clock = Stream(terminal=True), Clock()
    with Progress(100, "x", stream=stream, clock=clock) as progress:
        for step in (0, 50, 100):
            clock.now += 1
            progress.update(step)
    filled = [(line.count("━"), line.count("─")) for line in lines_of(stream)]
    assert filled[0][0] == 0
    assert filled[1][0] == filled[1][1] > 0
    assert filled[2][1] == 0


def test_it_is_drawn_four_times_a_second_at_most():
    stream, clock = Stream(terminal=True), Clock()
    with Progress(1000, "x", stream=stream, clock=clock) as progress:
        for step in range(1000):
            clock.now += 0.001
            progress.update(step)
    assert len(lines_of(stream)) <= 8


def test_without_colour_nothing_is_coloured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream, clock = Stream(terminal=True), Clock()
    with Progress(100, "x", stream=stream, clock=clock) as progress:
        clock.now += 1
        progress.update(50)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", stream.getvalue())


@pytest.mark.parametrize(("child", "live"), [(True, None), (False, False)])
def test_jobs_that_share_a_terminal_print_plain_lines(monkeypatch, child, live):
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object() if child else None)
    stream = Stream(terminal=True)
    with Progress(100, "x", stream=stream, live=live, clock=Clock()) as progress:
        progress.update(50)
    assert "\x1b[2K" not in stream.getvalue()


def test_a_resumed_run_does_not_count_what_it_did_not_do():
    stream, clock = Stream(), Clock()
    with Progress(1000, "x", start=900, stream=stream, clock=clock) as progress:
        progress.update(900)
        clock.now += 10
        progress.update(950)
    assert lines_of(stream)[1] == "x: 950/1,000 env steps, 5 steps/s, ETA 0:10"


def test_the_rate_is_that_of_the_recent_past():
    stream, clock = Stream(), Clock()
    with Progress(10_000, "x", stream=stream, clock=clock) as progress:
        for second in range(61):
            progress.update(second if second <= 20 else 20 + (second - 20) * 100)
            clock.now += 1
    assert "100 steps/s" in lines_of(stream)[-2]


def test_judging_counts_episodes_and_starts_over_for_each_suite():
    stream, clock = Stream(), Clock()
    with Progress(None, "judging", stream=stream, clock=clock) as progress:
        for suite in ("threat", "cartpole"):
            for done in range(0, 101, 10):
                progress.episodes(done, 100, label=f"judging {suite}")
                clock.now += 1.1
    lines = lines_of(stream)
    assert lines[0] == "judging threat: 0/100 episodes"
    assert re.fullmatch(r"judging cartpole: \d+/100 episodes, 9.1 episodes/s, ETA 0:\d\d", lines[-2])
    assert lines[-1] == "judging cartpole: 100 episodes, 9.1 episodes/s, done in 0:24"


@pytest.mark.parametrize(("error", "word"), [(ValueError, "stopped"), (KeyboardInterrupt, "interrupted")])
@pytest.mark.parametrize("terminal", [False, True])
def test_the_last_line_says_how_it_ended_and_the_cursor_is_back(error, word, terminal):
    stream, clock = Stream(terminal=terminal), Clock()

    def work():
        with Progress(100, "x", stream=stream, clock=clock) as progress:
            clock.now += 61
            progress.update(50)
            raise error

    with pytest.raises(error):
        work()
    assert f"{word} in 1:01" in lines_of(stream)[-1]
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h")


def test_results_on_stdout_are_not_drawn_into_the_progress(capsys):
    stream = Stream(terminal=True)
    with Progress(100, "x", stream=stream, clock=Clock()) as progress:
        progress.update(50)
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in stream.getvalue()


def test_nothing_done_and_nothing_known_is_still_a_line():
    stream = Stream()
    with Progress(None, "loading", stream=stream, clock=Clock()):
        pass
    assert lines_of(stream) == ["loading: done in 0:00"]


# errors


def test_an_error_is_one_line_on_stderr(capsys):
    print_error("lr=-1 is [bold]not[/bold] allowed:\n give a number above 0 " + "x" * 200)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: lr=-1 is [bold]not[/bold] allowed: give a number above 0 " + "x" * 200 + "\n"
