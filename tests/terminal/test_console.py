"""Consoles and errors."""

from rl_eval.terminal import console_for, print_error
from tests.terminal.streams import TextStream


def test_a_pipe_has_room_for_every_column_and_columns_overrules(monkeypatch):
    assert console_for(TextStream()).width == 120
    monkeypatch.setenv("COLUMNS", "70")
    assert console_for(TextStream()).width == 70


def test_an_error_is_one_line_on_stderr(capsys):
    print_error("lr=-1 is [bold]not[/bold] allowed:\n give a number above 0 " + "x" * 200)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: lr=-1 is [bold]not[/bold] allowed: give a number above 0 " + "x" * 200 + "\n"
