"""The pages `docs/judge-your-own.md` and `docs/onnx.md`: their examples do what they say."""

import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import metrics
from rl_eval.domains import threat
from rl_eval.domains.threat.data import load_dataset
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.policy import Spaces, action_space_json, describe_preprocessing, load
from tests.cli.test_score import CONFIG, flows
from tests.policy.trained_networks import trained

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = DOCS / "judge-your-own.md", DOCS / "onnx.md"


def write_files(folder, *names):
    """The code blocks of the pages whose first line names a file."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    blocks = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", text, re.DOTALL))
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


def test_an_export_decides_on_rows_of_data_as_the_page_says(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from agents.export import actor_to_onnx

    features = load_dataset(CONFIG).parts["test"].features
    space, actions = gym.spaces.Box(-9, 9, features.shape[1:]), gym.spaces.Discrete(4)
    arrays, meta = trained(actions, obs_size=features.shape[1])
    arrays = {name: array for name, array in arrays.items() if name.startswith("network.")}
    described, _ = describe_preprocessing(threat.DOMAIN.preprocessing(CONFIG))
    about = {"env": {"name": "threat"}, "obs_shape": list(space.shape), "preprocessing": described}
    about["action_space"] = action_space_json(actions)
    (tmp_path / "policy.onnx").write_bytes(actor_to_onnx(arrays, meta, about))
    write_files(tmp_path, "decide.py")
    monkeypatch.chdir(tmp_path)
    page = {}
    exec((tmp_path / "decide.py").read_text(), page)
    rows = flows(400).rows(named=True)
    np.testing.assert_allclose([page["observation"](row) for row in rows], features, atol=1e-6)
    expected = load("onnx:policy.onnx", Spaces("threat", space, actions), None).act(features, True)
    assert len(set(expected.tolist())) > 1
    assert page["decide"](rows).tolist() == expected.tolist()
