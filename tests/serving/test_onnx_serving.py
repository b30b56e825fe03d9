"""ONNX files: served as the runs they were exported from, and never learning."""

import numpy as np
import pytest

from rl_eval import agent_registry, policy, run
from rl_eval.errors import InputError
from rl_eval.serving.source import load
from tests.serving.served_runs import OBS, client_of, observations

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """The PPO run as an ONNX file."""
    arrays, meta = run.read_checkpoint(runs / "ppo" / "snapshots" / "step_100", "policy")
    described = {"schema": 1, "env": {"name": "cartpole"}}
    described |= {key: meta[key] for key in ("obs_shape", "action_space", "clip_obs")}
    file = tmp_path_factory.mktemp("onnx") / "ppo.onnx"
    file.write_bytes(agent_registry.agent("ppo").to_onnx(arrays, meta, described))
    return file


def test_an_onnx_file_is_served_as_its_run_and_does_not_learn(exported, runs, tmp_path):
    with client_of(f"onnx:{exported}", tmp_path / "folder") as client:
        health = client.get("/health").json()
        assert health["policy_version"] == policy.identity(f"onnx:{exported}")[:16]
        assert (health["env"], health["actions"], health["learns"]) == ("cartpole", 2, False)
        rows = observations(10)
        answer = client.post("/select_action", json={"observation": rows.tolist(), "greedy": True}).json()
        acting = load(str(runs / "ppo"), seed=0, trust=False).policy.policy
        assert answer["action"] == acting.act(rows, True).tolist()
        assert answer["value"] is None
        drawn = client.post("/select_action", json={"observation": OBS}).json()
        body = {"decision_id": drawn["decision_id"], "reward": 1.0, "done": True}
        assert client.post("/store_experience", json=body).status_code == 200
        for path, body in (("/update", {}), ("/save", {"name": "a"}), ("/load", {"name": "a"})):
            answer = client.post(path, json=body)
            assert answer.status_code == 409
            assert "ONNX" in answer.json()["detail"]
        assert np.isfinite(drawn["probability"])


def test_a_graph_that_does_not_say_what_it_is_for_is_refused(tmp_path):
    from onnx import TensorProto, helper

    def graph(width):
        x = helper.make_tensor_value_info("observations", TensorProto.FLOAT, ["N", width])
        y = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", width])
        made = helper.make_graph([helper.make_node("Identity", ["observations"], ["logits"])], "g", [x], [y])
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(made, ir_version=9, opset_imports=opset).SerializeToString()

    (tmp_path / "open.onnx").write_bytes(graph("D"))
    with pytest.raises(InputError, match="does not say"):
        load(f"onnx:{tmp_path / 'open.onnx'}", seed=0, trust=False)
    (tmp_path / "fixed.onnx").write_bytes(graph(3))
    source = load(f"onnx:{tmp_path / 'fixed.onnx'}", seed=0, trust=False)
    assert (source.policy.spaces.observation.shape, source.policy.actions) == ((3,), 3)
    with pytest.raises(InputError, match="does not exist"):
        load(f"onnx:{tmp_path / 'absent.onnx'}", seed=0, trust=False)


@pytest.mark.parametrize("spec", ["random", "python:os:getcwd", "absent", "http://127.0.0.1:1/act"])
def test_other_policies_are_not_served(spec):
    with pytest.raises(InputError):
        load(spec, seed=0, trust=False)
