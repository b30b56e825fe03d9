"""Consoles, lines and errors."""

import ast
import sys
from pathlib import Path

import pytest

from rl_eval.terminal import console_for, print_error, print_line
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


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_line_is_printed_as_it_is_but_for_controls_and_secrets(monkeypatch, encoding):
    stream = TextStream(encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_line("run: a  b/\x1b[31m\u202e[bold] https://u:pw@h/?key=abc\nc \ud800")
    assert stream.getvalue() == "run: a  b/\\u001b[31m\\u202e[bold] https://u:***@h/?key=***\\u000ac \\ud800\n"


def test_a_line_may_hold_what_the_stream_cannot_encode(monkeypatch):
    stream = TextStream(encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    print_line("né", stderr=True)
    assert stream.getvalue() == "n\\xe9\n"


# Modules that print text of their own alone, JSON or escaped YAML, or the escaped output of another process of ours.
PRINTS_ITSELF = {
    "rl_eval/cli/__init__.py", "rl_eval/cli/_app.py", "rl_eval/cli/_cost.py", "rl_eval/cli/_production.py",
    "rl_eval/cli/_runs.py", "rl_eval/cli/_schema.py", "rl_eval/cli/_serve.py",
    "rl_eval/cli/_list.py", "rl_eval/cli/_replay.py", "rl_eval/compare/command.py", "rl_eval/compare/verdict_table.py",
    "rl_eval/domains/qase/service/__main__.py", "rl_eval/domains/webtest/explore/log_in.py",
    "rl_eval/domains/webtest/shop/__main__.py", "rl_eval/launch.py", "rl_eval/launchers/call.py",
    "rl_eval/net/embedded_service.py",
    "rl_eval/pytest_plugin/_train_missing.py",
    "rl_eval/terminal/_console.py",
}  # fmt: skip


def _is_text(node):
    """Whether an argument is text put together here, rather than a table or a line that is safe to print."""
    return isinstance(node, ast.JoinedStr | ast.BinOp) or (
        isinstance(node, ast.Call) and "format" in ast.unparse(node.func)
    )


def test_text_from_data_is_printed_by_the_functions_that_make_it_safe():
    root = Path(__file__).resolve().parents[2]
    direct = []
    for path in sorted((root / "rl_eval").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            prints = called in ("print", "typer.echo", "click.echo") or called.endswith(
                ("stdout.write", "stderr.write")
            )
            if prints and name not in PRINTS_ITSELF:
                direct.append(f"{name}:{node.lineno}: {called}")
            if called.endswith(".print") and "console" in called and any(map(_is_text, node.args)):
                direct.append(f"{name}:{node.lineno}: {called}")
    assert not direct, "use rl_eval.terminal.print_line, cell or labelled_line"
