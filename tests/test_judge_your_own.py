"""The page `docs/judge-your-own.md`: its example of facts from `info` is judged as it says."""

import re
import sys
from pathlib import Path

import gymnasium as gym
import pytest

from rl_eval import metrics
from rl_eval.gates import evaluate_suite, load_suite, named_runs

PAGE = Path(__file__).resolve().parents[1] / "docs" / "judge-your-own.md"


def write_files(folder, *names):
    """The code blocks of the page whose first line names a file."""
    blocks = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    for name in names:
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(blocks[name], encoding="utf-8")


@pytest.fixture(scope="module")
def reach(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reach")
    write_files(folder, "reach.py", "suites/reach.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setattr(metrics._registry.METRICS, "_registered", dict(metrics._registry.METRICS._registered))
        yield load_suite(Path("suites/reach.yaml"), trust=True)
    sys.modules.pop("reach", None)
    gym.registry.pop("Reach-v0", None)


@pytest.mark.parametrize(("policy", "decision"), [("python:reach:towards", "PASS"), ("random", "FAIL")])
def test_a_key_of_info_is_the_fact_that_decides(reach, policy, decision):
    verdict = evaluate_suite(reach, named_runs(reach, [policy]), trust=True)
    decisions = {criterion.criterion: criterion.decision for criterion in verdict.criteria}
    assert decisions == {"reaches": decision, "controls": "PASS", "held_out": "NOT_CHECKED"}


def test_the_metric_is_not_computed_from_the_reward(reach):
    assert metrics.lookup("goal_rate").needs == ("is_success",)
    assert reach.criteria[0].spec.by == "evidence"
