"""The progress line, on a terminal and elsewhere."""

import math
import re

import pytest

from rl_eval.terminal import ProgressLine, QuietProgress
from tests.terminal.streams import ESCAPE, TextStream


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def lines_of(stream):
    return [line for line in ESCAPE.sub("", stream.getvalue()).replace("\r", "\n").splitlines() if line]


def test_a_pipe_gets_the_first_line_one_each_ten_seconds_and_the_last():
    stream, clock = TextStream(), Clock()
    with ProgressLine(200_000, "ppo on threat", stream=stream, clock=clock) as progress:
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
        "ppo on threat: 200,000 env steps, return 40, done in 0:40",
    ]
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_dumb_terminal_is_treated_as_a_pipe(monkeypatch, term):
    monkeypatch.setenv("TERM", term)
    stream = TextStream(terminal=True)
    with ProgressLine(100, "x", stream=stream, clock=Clock()) as progress:
        progress.update(50)
    assert "\x1b" not in stream.getvalue()
    assert len(lines_of(stream)) == 2


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_on_a_terminal_it_is_one_line_that_fits(monkeypatch, width, encoding):
    monkeypatch.setenv("COLUMNS", str(width))
    stream, clock = TextStream(terminal=True, encoding=encoding), Clock()
    with ProgressLine(2_000_000, "ppo on [threat]", stream=stream, clock=clock) as progress:
        for second in range(100):
            clock.now += 1
            progress.update(second * 9812, episode_return_mean=-187.345, validation_score=0.912, note="saved step_1")
    lines = lines_of(stream)
    assert max(len(line) for line in lines) < width
    assert all(line.startswith("ppo on [threat]") for line in lines)
    if width >= 80:
        assert all(part in lines[-3] for part in ("971k/2M", "9,812 steps/s", "return -187.3", "ETA 1:4"))
    assert ("score 0.912" in lines[-3]) == (width >= 80)


def test_the_bar_grows():
    stream, clock = TextStream(terminal=True), Clock()
    with ProgressLine(100, "x", stream=stream, clock=clock) as progress:
        for step in (0, 50, 100):
            clock.now += 1
            progress.update(step)
    filled = [(line.count("━"), line.count("─")) for line in lines_of(stream)]
    assert filled[0][0] == 0
    assert filled[1][0] == filled[1][1] > 0
    assert filled[2][1] == 0


def test_it_is_drawn_four_times_a_second_at_most():
    stream, clock = TextStream(terminal=True), Clock()
    with ProgressLine(1000, "x", stream=stream, clock=clock) as progress:
        for step in range(1000):
            clock.now += 0.001
            progress.update(step)
    assert len(lines_of(stream)) <= 8


def test_without_colour_nothing_is_coloured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream, clock = TextStream(terminal=True), Clock()
    with ProgressLine(100, "x", stream=stream, clock=clock) as progress:
        clock.now += 1
        progress.update(50)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", stream.getvalue())


@pytest.mark.parametrize(("child", "live"), [(True, None), (False, False)])
def test_jobs_that_share_a_terminal_print_plain_lines(monkeypatch, child, live):
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object() if child else None)
    stream = TextStream(terminal=True)
    with ProgressLine(100, "x", stream=stream, live=live, clock=Clock()) as progress:
        progress.update(50)
    assert "\x1b[2K" not in stream.getvalue()


def test_a_resumed_run_does_not_count_what_it_did_not_do():
    stream, clock = TextStream(), Clock()
    with ProgressLine(1000, "x", start=900, stream=stream, clock=clock) as progress:
        progress.update(900)
        clock.now += 10
        progress.update(950)
    assert lines_of(stream)[1] == "x: 950/1,000 env steps, 5 steps/s, ETA 0:10"


def test_the_rate_is_that_of_the_recent_past():
    stream, clock = TextStream(), Clock()
    with ProgressLine(10_000, "x", stream=stream, clock=clock) as progress:
        for second in range(61):
            progress.update(second if second <= 20 else 20 + (second - 20) * 100)
            clock.now += 1
    assert "100 steps/s" in lines_of(stream)[-2]


def seconds_left(line):
    """The ETA of a line in seconds; None without one."""
    found = re.search(r"ETA (\d+):(\d\d)$", line)
    return None if found is None else 60 * int(found[1]) + int(found[2])


def test_the_eta_is_right_within_ten_seconds_although_starting_and_validating_take_time():
    """Loading takes 12 s, then 4,096 steps .5 s each, and every tenth iteration a validation of 2 s: 46 s in all."""
    stream, clock = TextStream(terminal=True), Clock()
    total, step, shown, ends = 200_704, 0, 0, {}
    with ProgressLine(total, "ppo", stream=stream, clock=clock) as progress:
        clock.now += 12
        while step < total:
            clock.now += 0.5
            step += 4096
            clock.now += 2 * (step // 4096 % 10 == 0)
            progress.update(step)
            ends[clock.now] = lines_of(stream)[-1].rstrip()
    for now, line in ends.items():
        if (eta := seconds_left(line)) is not None:
            shown += 1
            assert eta == pytest.approx(clock.now - now, abs=10), line
    assert shown > 30


def test_the_time_left_is_a_limit_where_the_work_may_end_early():
    stream, clock = TextStream(), Clock()
    with ProgressLine(1000, "x", may_end_early=True, stream=stream, clock=clock) as progress:
        progress.update(0)
        clock.now += 10
        progress.update(100)
    assert lines_of(stream)[1] == "x: 100/1,000 env steps, 10 steps/s, at most 1:30 left"


def test_a_run_that_was_interrupted_is_not_done():
    stream = TextStream()
    with ProgressLine(100, "x", stream=stream, clock=Clock()) as progress:
        progress.update(50)
        progress.outcome = "interrupted"
    assert lines_of(stream)[-1] == "x: 50/100 env steps, interrupted in 0:00"


def test_judging_counts_episodes_and_starts_over_for_each_suite():
    stream, clock = TextStream(), Clock()
    with ProgressLine(None, "judging", stream=stream, clock=clock) as progress:
        for suite in ("threat", "cartpole"):
            for done in range(0, 101, 10):
                progress.episodes(done, 100, label=f"judging {suite}")
                clock.now += 1.1
    lines = lines_of(stream)
    assert lines[0] == "judging threat: 0/100 episodes"
    assert re.fullmatch(r"judging cartpole: \d+/100 episodes, 9.1 episodes/s, at most 0:\d\d left", lines[-2])
    assert lines[-1] == "judging cartpole: 100 episodes, done in 0:24"


@pytest.mark.parametrize(("error", "word"), [(ValueError, "stopped"), (KeyboardInterrupt, "interrupted")])
@pytest.mark.parametrize("terminal", [False, True])
def test_the_last_line_says_how_it_ended_and_the_cursor_is_back(error, word, terminal):
    stream, clock = TextStream(terminal=terminal), Clock()

    def work():
        with ProgressLine(100, "x", stream=stream, clock=clock) as progress:
            clock.now += 61
            progress.update(50)
            raise error

    with pytest.raises(error):
        work()
    assert f"{word} in 1:01" in lines_of(stream)[-1]
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h")


def test_results_on_stdout_are_not_drawn_into_the_progress(capsys):
    stream = TextStream(terminal=True)
    with ProgressLine(100, "x", stream=stream, clock=Clock()) as progress:
        progress.update(50)
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in stream.getvalue()


def test_nothing_done_and_nothing_known_is_still_a_line():
    stream = TextStream()
    with ProgressLine(None, "loading", stream=stream, clock=Clock()):
        pass
    assert lines_of(stream) == ["loading: done in 0:00"]


def test_quiet_progress_appears_after_a_second_and_ends_with_the_work(capsys):
    clock = Clock()
    with QuietProgress("reading runs", unit="runs", clock=clock) as progress:
        for done in range(1, 31):
            clock.now += 0.1
            progress.update(done, 30)
        ended = capsys.readouterr().err.splitlines()
    assert ended[0].startswith("reading runs: ")
    assert ended[-1] == "reading runs: 30 runs, done in 0:02"
    with QuietProgress("reading runs", unit="runs", clock=clock) as progress:
        progress.update(5, 5)
    assert capsys.readouterr().err == ""
