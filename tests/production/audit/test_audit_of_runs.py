"""`train.py` and pytest append to the log that `RL_EVAL_AUDIT` names; `rl-eval audit verify` checks it."""

import json
from types import SimpleNamespace

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.production.audit import AuditLog, verify
from rl_eval.production.audit.runs import append_end, append_training, append_verdict
from tests.gates.fake_runs import write_run

CONFIG = {"agent": {"name": "ppo"}, "env": {"name": "pole"}, "seed": 3}


def entries(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_trainings_and_verdicts_are_lines(tmp_path, monkeypatch):
    monkeypatch.setenv("RL_EVAL_AUDIT", str(tmp_path / "audit.jsonl"))
    append_training("training_began", "outputs/x", CONFIG, resume=False)
    append_end(write_run(tmp_path / "run", seed=1))
    row = SimpleNamespace(criterion="mean_return", decision="FAIL", estimate=float("nan"), threshold=1.0)
    verdict = SimpleNamespace(
        suite="pole", decision="FAIL", part="test", policy="learned", runs=("a",), test_set=None, alpha=0.05,
        criteria=(row,) * 100,
    )  # fmt: skip
    append_verdict("pytest", verdict)
    began, ended, judged = entries(tmp_path / "audit.jsonl")
    assert [began["event"], ended["event"], judged["event"]] == ["training_began", "training_ended", "verdict"]
    assert ended["facts"]["status"] == "finished"
    assert judged["facts"]["decision"] == "FAIL"
    assert verify(tmp_path / "audit.jsonl").faults == ()


def test_a_training_that_cannot_be_logged_does_not_begin(tmp_path, monkeypatch):
    (tmp_path / "audit.jsonl").write_text("something else\n")
    monkeypatch.setenv("RL_EVAL_AUDIT", str(tmp_path / "audit.jsonl"))
    with pytest.raises(InputError, match="not whole"):
        append_training("training_began", "outputs/x", CONFIG)


def test_the_command_says_what_it_found(tmp_path, capsys):
    path = tmp_path / "audit.jsonl"
    for version in range(3):
        head = AuditLog(path).append("promoted", "me", {"version": version})
    assert main(["audit", "verify", str(path)]) == 0
    assert f"3 lines, complete; head {head}" in " ".join(capsys.readouterr().out.split())
    assert main(["audit", "verify", str(path), "--head", str(head)]) == 0
    assert main(["audit", "verify", str(path), "--head", "3:abc"]) == 2
    path.write_text(path.read_text().replace('"version":1', '"version":2'))
    assert main(["audit", "verify", str(path)]) == 1
    assert "line 2: it was changed" in capsys.readouterr().out
    assert main(["audit", "verify", str(tmp_path / "absent")]) == 2
