"""The example suites of the three KPIs: their levels, and that a useless policy meets none of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rl_eval.gates import load_suite

ROOT = Path(__file__).resolve().parents[2]
KPI = ROOT / "deploy" / "kpi"


def levels(name):
    return [(one.name, one.spec) for one in load_suite(KPI / f"{name}.yaml").criteria]


def test_the_stages_of_decision_accuracy():
    assert [(name, spec.metric, spec.at_least) for name, spec in levels("decision_accuracy")] == [
        ("stage_1", "decision_accuracy", 0.85),
        ("stage_2", "decision_accuracy", 0.92),
        ("stage_3", "decision_accuracy", 0.95),
    ]


@pytest.mark.parametrize(
    ("suite", "metric", "factors"),
    [("effort", "actions_to_three_defects", [0.6, 0.4, 0.25]), ("bugs", "defects_found", [1.25, 1.45, 1.65])],
)
def test_the_levels_against_the_reference(suite, metric, factors):
    assert [(name, s.metric, s.better_than, s.factor, s.by) for name, s in levels(suite)] == [
        (f"level_{number}", metric, ["baseline:breadth_first"], factor, "evidence")
        for number, factor in enumerate(factors, 1)
    ]


@pytest.mark.verify
@pytest.mark.parametrize(
    ("suite", "policy", "met"),
    [
        ("effort", "random", []),
        ("bugs", "random", []),
        ("effort", "constant:1", []),
        ("bugs", "constant:1", []),
        ("effort", "baseline:pretrained", [1]),
        ("bugs", "baseline:pretrained", [1, 2, 3]),
    ],
)
def test_which_levels_a_policy_meets(suite, policy, met):
    words = ["pytest", "-q", "-p", "no:cacheprovider", f"deploy/kpi/{suite}.yaml", "--rl-run", policy]
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    decided = dict(re.findall(r"^level_(\d) .* (PASS|FAIL|INCONCLUSIVE)\b", done.stdout, re.MULTILINE))
    assert sorted(decided) == ["1", "2", "3"], done.stdout + done.stderr
    assert [int(level) for level, decision in sorted(decided.items()) if decision == "PASS"] == met, done.stdout
