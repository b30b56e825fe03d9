"""`rl-eval qase inspect` prints what a file holds, and nothing in a file acts on the terminal."""

import json

from rl_eval.cli import main
from rl_eval.formatting import escape_controls

HOSTILE = "\x1b]0;a\x07\x1b[31m\u202e\x9b"


def test_nothing_in_a_file_acts_on_the_terminal(tmp_path, capsys):
    step = {"action": f"GET /{HOSTILE}", "expected_result": HOSTILE}
    case = {"id": 1, "title": HOSTILE, "severity": HOSTILE, HOSTILE: 1, "steps": [step]}
    (tmp_path / "export.json").write_text(json.dumps({"suites": [{"id": 1, "title": HOSTILE, "cases": [case]}]}))
    result = {"title": HOSTILE, "execution": {"status": HOSTILE}, "testops_project_mapping": {HOSTILE: [1]}}
    (tmp_path / "results.json").write_text(json.dumps({"results": [result]}))
    assert main(["qase", "inspect", str(tmp_path / "export.json"), "--results", str(tmp_path / "results.json")]) == 0
    printed = capsys.readouterr().out
    assert "31m" in printed
    assert escape_controls(printed, keep="\n") == printed


def test_an_error_that_names_what_a_file_holds_does_not_act_on_it_either(tmp_path, capsys):
    (tmp_path / "export.json").write_text(json.dumps({"cases": [{"id": HOSTILE, "title": "t"}]}))
    assert main(["qase", "inspect", str(tmp_path / "export.json")]) == 2
    printed = capsys.readouterr().err
    assert "31m" in printed
    assert escape_controls(printed, keep="\n") == printed
