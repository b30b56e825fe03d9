"""Diagnostics as criteria of suites, next to a failing criterion, and on the terminal."""

import io

import pytest

from rl_eval.diagnostics import SEVERITIES, Finding, list_diagnostics, sentence
from rl_eval.diagnostics._finding import importance
from rl_eval.gates import evaluate_suite, load_suite
from rl_eval.gates.selection import Selection
from rl_eval.metrics import lookup
from rl_eval.pytest_plugin._doctor import first_findings
from rl_eval.terminal import print_findings
from tests.gates.fake_runs import write_run, write_suite

HEAD = "env_steps,wall_s,episode_return_mean,initial_kl,entropy,action/0,action/1\n"
SUITE = """\
rl_eval: 1
env: cartpole
train: {agent: ppo}
episodes: {fixed: 2}
controls: []
criteria:
  solved: {metric: mean_return, at_least: 400, by: estimate}
  moves: {diagnostic: policy_unmoved}
"""


def run_with(directory, initial_kl):
    run = write_run(directory)
    rows = [f"{5 * i},{0.1 * i},9,{initial_kl},0.69,0.5,0.5\n" for i in range(1, 21)]
    (directory / "metrics.csv").write_text(HEAD + "".join(rows))
    return run


@pytest.mark.parametrize(("initial_kl", "decision"), [(0.5, "PASS"), (1e-6, "FAIL")])
def test_a_criterion_passes_where_its_diagnostic_finds_nothing(tmp_path, initial_kl, decision):
    suite = load_suite(write_suite(tmp_path / "a.yaml", SUITE))
    (moves,) = [criterion for criterion in suite.criteria if criterion.name == "moves"]
    assert moves.metric.kind == "artefact"  # controls are not judged by it
    verdict = evaluate_suite(suite, Selection((run_with(tmp_path / "run", initial_kl),)))
    row = next(row for row in verdict.criteria if row.criterion == "moves")
    assert row.decision == decision
    assert ("KL from the initial policy 1e-06" in row.detail) is (decision == "FAIL")


def test_a_damaged_run_fails_the_criterion_and_says_why(tmp_path):
    run = run_with(tmp_path / "run", 0.5)
    (run.path / "metrics.csv").write_text("a,a\n")
    (fault,) = lookup("diagnostic.policy_unmoved").compute(run)
    assert "a column twice" in fault


def test_the_first_findings_are_sentences(tmp_path):
    run = run_with(tmp_path / "run", 1e-6)
    lines = first_findings(run.path, trust=False)
    assert any(line.startswith("doctor: ") and "KL from the initial policy 1e-06" in line for line in lines)
    assert len(lines) <= 2
    assert first_findings(tmp_path / "onnx:policy.onnx", trust=False) == []


def finding(severity="note", layer="policy", certainty=0.5, name="a", change=None):
    return Finding(name, severity, layer, "title", "evidence", "meaning", "source", change, certainty)


def test_findings_are_ranked_by_severity_then_cause_then_certainty():
    ranked = [
        finding("problem", "experience"),
        finding("problem", "policy", 0.9),
        finding("problem", "policy", 0.2),
        finding("warning", "record"),
        finding("note", "record"),
    ]
    backwards = ranked[::-1]
    assert sorted(backwards, key=importance) == ranked


def test_a_sentence_can_be_pasted_from():
    assert sentence(finding(change="agent.gamma=0")) == "doctor: title (evidence); try `agent.gamma=0`"
    assert sentence(finding()) == "doctor: title (evidence)"


def test_the_terminal_shows_the_override_on_a_line_of_its_own():
    stream = io.StringIO()
    findings = [finding("problem", change="agent.gamma=0").to_json(), finding().to_json()]
    print_findings(findings, ["x is not there"], stream=stream)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines[0] == "PROBLEM title [a]"
    assert "  try: agent.gamma=0" in lines
    assert lines[-2:] == ["not examined: x is not there", "1 problem, 1 note"]
    stream = io.StringIO()
    print_findings([], stream=stream)
    assert stream.getvalue().strip() == "nothing found"


def test_every_diagnostic_has_a_description_of_one_line():
    for diagnostic in list_diagnostics():
        assert diagnostic.description.endswith((".", ":")), diagnostic.name
        assert diagnostic.name.isidentifier()
    assert SEVERITIES == ("problem", "warning", "note")
