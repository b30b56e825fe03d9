"""What is printed after a sweep."""

from pathlib import Path

import pytest

from rl_eval import sweep_end
from tests.gates.fake_runs import write_run


@pytest.mark.parametrize(
    ("part", "advice"), [("validation", "judge it on the test set"), ("test", "choose on validation")]
)
def test_a_sweep_whose_jobs_the_test_set_has_judged_is_not_advised_to_judge_there(
    tmp_path, monkeypatch, capsys, part, advice
):
    runs = [write_run(tmp_path / str(job)) for job in range(2)]
    monkeypatch.setattr(sweep_end, "_verdict_rows", lambda path: [{"decision": "PASS", "part": part}])
    monkeypatch.setattr(
        "rl_eval.sweep_end.judge_best_commands", lambda jobs, suites: ["judge it on the test set with …"]
    )
    sweep_end._print_sweep(runs, Path("suites"))
    printed = " ".join(capsys.readouterr().out.split())
    assert f"criteria: judged on {part}" in printed
    assert advice in printed
    assert ("2 jobs judged on the test set" in printed) is (part == "test")
