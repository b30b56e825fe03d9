"""What the trials of a run showed is one line in doctor, in the report and in `prioritise`, whichever way it went."""

import pytest

from rl_eval.cli import main
from rl_eval.report import write_report
from rl_eval.run import FILES_SHA256, file_sha256, read_json, read_run, trials_text, write_json
from tests.gates.fake_runs import write_run

BETTER = {
    "trials": 5, "episodes": 12, "difference": 0.0803, "p_value": 0.0063, "later_p_value": 0.05,
    "judged": "the trained policy",
}  # fmt: skip
LINE = "on 12 episodes of earlier data, +0.080 MEAN_RETURN, p = 0.0063: the trained policy is judged"
PRIOR = {"name": "ppo", "network": {"prior": [[1, 2.0]]}}


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", info={"trials": BETTER})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, f"better than the first policy {LINE}"),
        (
            {"trials": 0, "judged": "the first policy", "difference": -0.01, "p_value": 0.5, "later_p_value": 1},
            "not better by evidence than the first policy on 12 episodes of the validation part, -0.010 MEAN_RETURN, "
            "p = 0.5 and p = 1 on the later half: the first policy is judged",
        ),
    ],
)
def test_both_outcomes_are_said_with_their_figures(run, changes, text):
    run.info["trials"] = BETTER | changes
    assert trials_text(run) == text


@pytest.mark.parametrize("damaged", [None, 5, {}, {**BETTER, "difference": "much"}, {**BETTER, "p_value": None}])
def test_a_run_without_trials_says_nothing(run, damaged):
    run.info["trials"] = damaged
    assert trials_text(run) is None


def test_the_first_policy_is_named_by_the_feature_or_the_run_that_it_starts_from(tmp_path):
    path = write_run(tmp_path / "run", config={"agent": PRIOR}, info={"trials": BETTER}).path
    assert "than the first policy on" in trials_text(read_run(path))
    write_json(path / "preprocessing.json", {"features": ["title", "failure_rate"]})
    recorded = {FILES_SHA256: {"preprocessing.json": file_sha256(path / "preprocessing.json")}}
    write_json(path / "run.json", read_json(path / "run.json") | recorded)
    assert "than the failure rate sort (the first policy) on" in trials_text(read_run(path))
    started = write_run(tmp_path / "second", config={"init": "outputs/parent"}, info={"trials": BETTER})
    assert "than the first policy, outputs/parent, on" in trials_text(started)


def test_doctor_and_the_report_show_it(run, capsys):
    assert main(["doctor", str(run.path)]) == 0
    assert f"trials: better than the first policy {LINE}" in capsys.readouterr().out
    page = write_report([run.path]).read_text()
    assert f"Trials: better than the first policy {LINE}" in page
    write_json(run.path / "run.json", read_json(run.path / "run.json") | {"trials": None})
    assert main(["doctor", str(run.path)]) == 0
    assert "trials:" not in capsys.readouterr().out
    assert "Trials:" not in write_report([run.path]).read_text()
