"""The Open Inference Protocol and MLflow's form, as clients send them, and as gates play policies through them."""

import numpy as np
import pytest

from rl_eval import domains, policy
from rl_eval.errors import InputError
from rl_eval.policy import Spaces
from tests.serving.served_runs import OBS, client_of, listening, observations


def tensor(rows, **changes):
    rows = np.asarray(rows)
    return {"name": "x", "shape": list(rows.shape), "datatype": "FP32", "data": rows.ravel().tolist(), **changes}


def test_inference_answers_with_the_actions_of_the_policy(client):
    acting, rows = client.server.policy.policy, observations(7)
    metadata = client.get("/v2/models/ppo").json()
    assert metadata["inputs"] == [{"name": "observations", "datatype": "FP32", "shape": [-1, 4]}]
    answer = client.post("/v2/models/ppo/infer", json={"id": "7", "inputs": [tensor(rows)]}).json()
    assert answer["id"] == "7"
    assert answer["model_version"] == metadata["versions"][0]
    outputs = {output["name"]: np.reshape(output["data"], output["shape"]) for output in answer["outputs"]}
    assert outputs["action"].tolist() == acting.act(rows, True).tolist()
    np.testing.assert_allclose(outputs["probabilities"], acting.probabilities(rows), rtol=1e-5)
    np.testing.assert_allclose(outputs["value"], acting.values(rows), rtol=1e-5)
    nested = tensor(rows, data=rows.tolist())
    only = client.post("/v2/models/ppo/infer", json={"inputs": [nested], "outputs": [{"name": "action"}]}).json()
    assert [output["name"] for output in only["outputs"]] == ["action"]
    assert client.get("/stats").json()["decisions"] == 0


def test_inference_takes_masks_and_versions(client):
    version = client.get("/health").json()["policy_version"]
    mask = {"name": "action_mask", "shape": [2, 2], "datatype": "BOOL", "data": [False, True, True, False]}
    path = f"/v2/models/ppo/versions/{version}"
    answer = client.post(f"{path}/infer", json={"inputs": [tensor([OBS, OBS]), mask]}).json()
    assert answer["outputs"][0]["data"] == [1, 0]
    assert client.get(f"{path}/ready").json()["ready"]
    for missing in ("/v2/models/other", "/v2/models/ppo/versions/2", "/v2/models/ppo/versions/2/ready"):
        answer = client.get(missing)
        assert answer.status_code == 404
        assert answer.json()["error"]
    assert client.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize(
    "inputs",
    [
        [], [tensor([OBS], shape=[1, 5])], [tensor([OBS], datatype="BYTES")],
        [tensor([OBS], data=["a"] * 4)], [tensor([OBS]), tensor([OBS], name="y")], [tensor([OBS], shape=[-1, 4])],
        [{"name": "x"}], [tensor([OBS], data=[float("1e300")] * 4)],
        [tensor([OBS], datatype="UINT8", data=[0, 1, 2, 300])],
        [tensor([OBS], datatype="INT64")], [tensor([OBS], datatype="UINT8", data=[0, 1, 2, -1])],
        [tensor([OBS], datatype="FP16", data=[1e5] * 4)], [tensor([OBS]), tensor([OBS])],
        [tensor([OBS], data=[True, False, 0.5, 1])], [tensor([OBS], data=[[True, False, 0.5, 1]])],
        [tensor([OBS]), {"name": "action_mask", "shape": [1, 2], "datatype": "FP32", "data": [True, False]}],
    ],
)  # fmt: skip
def test_other_tensors_are_refused(client, inputs):
    answer = client.post("/v2/models/ppo/infer", json={"inputs": inputs})
    assert answer.status_code == 422
    assert answer.json()["error"] == answer.json()["detail"]


def test_outputs_have_the_datatypes_and_names_of_the_metadata(runs, tmp_path):
    for agent, width in (("ppo", 4), ("dqn", 4), ("box", 3)):
        with client_of(runs / agent, tmp_path / agent) as client:
            declared = client.get(f"/v2/models/{agent}").json()["outputs"]
            body = {"inputs": [tensor(observations(2, size=width))]}
            outputs = client.post(f"/v2/models/{agent}/infer", json=body).json()["outputs"]
            assert [(o["name"], o["datatype"]) for o in outputs] == [(o["name"], o["datatype"]) for o in declared]
            assert [o["shape"][1:] for o in outputs] == [o["shape"][1:] for o in declared]
            unknown = client.post(f"/v2/models/{agent}/infer", json={**body, "outputs": [{"name": "no"}]})
            assert unknown.status_code == 422
            assert "value" in unknown.json()["detail"]


@pytest.mark.parametrize("datatype", ["INT8", "UINT64", "FP16", "FP64"])
def test_numbers_that_a_datatype_holds_are_taken(client, datatype):
    body = {"inputs": [tensor([OBS], datatype=datatype, data=[0, 1, 2, 3])]}
    assert client.post("/v2/models/ppo/infer", json=body).status_code == 200


@pytest.mark.parametrize("rows", [["Say it"], [["Say it"]]])
def test_texts_in_invocations_are_sent_elsewhere(client, rows):
    answer = client.post("/invocations", json={"instances": rows})
    assert answer.status_code == 422
    assert "/select_action" in answer.json()["detail"]


@pytest.mark.parametrize("form", ["inputs", "instances", "dataframe_split"])
def test_invocations_answer_with_predictions(client, form):
    rows = observations(5)
    body = {form: rows.tolist()} if form != "dataframe_split" else {form: {"columns": [*"abcd"], "data": rows.tolist()}}
    answer = client.post("/invocations", json=body).json()
    assert answer == {"predictions": client.server.policy.policy.act(rows, True).tolist()}
    assert client.get("/ping").status_code == 200
    assert client.post("/invocations", json={}).status_code == 422
    assert client.post("/invocations", json={"inputs": [[1.0]]}).status_code == 422


def test_gates_play_a_served_policy_in_every_form(runs, tmp_path):
    """The actions of the run itself, the version as identity, and nothing is recorded."""
    config = domains.validate({"name": "cartpole"})
    vector = domains.make(config, n_envs=3, part="test", autoreset=False)
    spaces, rows = Spaces.of(config, vector), observations(9)
    judged = policy.load(str(runs / "ppo"), spaces, config)
    with listening(runs / "ppo", tmp_path / "folder") as url:
        forms = [f"{url}/select_action", f"{url}/v2/models/ppo/infer", f"{url}/invocations"]
        for form in forms:
            before = policy.identity(form)
            acting = policy.load(form, spaces, config, seed=5)
            assert acting.act(rows, True).tolist() == judged.act(rows, True).tolist()
            assert (policy.identity(form) != before) == ("invocations" not in form)
        mask = np.array([[True, False], [False, True], [True, True]] * 3)
        for form in forms[:2]:
            acting = policy.load(form, spaces, config, seed=5)
            assert np.take_along_axis(mask, acting.act(rows, True, mask)[:, None], 1).all()
            assert np.take_along_axis(mask, acting.act(rows, False, mask)[:, None], 1).all()
        for form in forms[:2]:  # draws follow from the gate's seed, and differ from step to step
            acting = [policy.load(form, spaces, config, seed=seed) for seed in (5, 5, 6)]
            drawn = [[policy_.act(rows, False).tolist() for _ in range(3)] for policy_ in acting]
            assert drawn[0] == drawn[1] != drawn[2]
            assert drawn[0][0] != drawn[0][1]
        with pytest.raises(InputError, match="cannot be drawn"):
            policy.load(forms[2], spaces, config).act(rows, False)
        with pytest.raises(InputError, match="status 404"):
            policy.load(f"{url}/v2/models/other/infer", spaces, config).act(rows, True)


def test_dqn_says_its_values_and_how_often_it_draws_each_action(runs, tmp_path):
    with client_of(runs / "dqn", tmp_path / "folder") as client:
        answer = client.post("/v2/models/dqn/infer", json={"inputs": [tensor([OBS])]}).json()
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        assert outputs["probabilities"] == [0.5, 0.5]
