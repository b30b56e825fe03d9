"""`torchscript:`, `sklearn:` and `ensemble:`, and ONNX files as other tools write them."""

import pickle
import zipfile

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval.errors import InputError
from rl_eval.policy import Spaces, identity, is_cacheable, load
from rl_eval.policy._ensemble import members
from tests.any_space_env import OBSERVATIONS
from tests.policy.policies import BOX, CARTPOLE, observations, refused, spaces

TWO = CARTPOLE.action
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch, on the exporters that the guides use


class Net(torch.nn.Module):
    """`[N, outputs]`, the same for equal seeds."""

    def __init__(self, outputs=2, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.layer = torch.nn.Linear(4, outputs)

    def forward(self, x: torch.Tensor):
        return self.layer(x)


def scripted(folder, module, name="net.pt"):
    torch.jit.script(module).save(str(folder / name))
    return f"torchscript:{folder / name}"


# -- torchscript -------------------------------------------------------------------------------------------------------


def test_a_torchscript_module_acts_by_its_logits_or_its_action(tmp_path):
    obs, net = observations(), Net()
    with torch.inference_mode():
        logits = net(torch.as_tensor(obs)).numpy()
    acting = load(scripted(tmp_path, net), CARTPOLE, None, trust=True)
    assert acting.act(obs, True).tolist() == logits.argmax(axis=1).tolist()
    share = np.mean([acting.act(obs[:1], False)[0] for _ in range(600)])
    assert abs(share - 1 / (1 + np.exp(logits[0, 0] - logits[0, 1]))) < 0.08

    class Half(Net):
        def forward(self, x: torch.Tensor):
            return torch.stack([0.5 * torch.tanh(x[:, 0]), 0.5 + 0.0 * x[:, 1]], dim=1), x.sum()

    box = load(scripted(tmp_path, Half(), "box.pt"), spaces(BOX), None, trust=True)
    np.testing.assert_allclose(box.act(obs, True)[:, 0], 0.5 * np.tanh(obs[:, 0]), rtol=1e-6)
    with pytest.raises(InputError, match="returns only its action, so it cannot be sampled"):
        box.act(obs, False)


def test_a_torchscript_module_that_is_none_or_fails_is_one_sentence(tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"PK junk")
    torch.save(Net().state_dict(), tmp_path / "weights.pt")
    refused(r"is a program of torch, .*: add --trust", f"torchscript:{tmp_path / 'junk.pt'}", trust=False)
    refused(r"the file .*nowhere\.pt does not exist$", f"torchscript:{tmp_path / 'nowhere.pt'}")
    for name in ("junk.pt", "weights.pt"):
        refused(
            r"is not a module from torch\.jit\.save \(.*\); weights also need the code",
            f"torchscript:{tmp_path / name}",
        )
    wide = load(scripted(tmp_path, Net(3)), CARTPOLE, None, trust=True)
    with pytest.raises(
        InputError, match=r"returned floats of shape \(1, 3\) .* must be logits of shape \(1, 2\)"
    ) as error:
        wide.act(observations(3), True)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"failed on an observation: ") as error:
        wide.act(observations(3, size=5), True)
    assert "\n" not in str(error.value)


# -- scikit-learn ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sklearn_files(tmp_path_factory):
    """A classifier, a regressor and a list, with skops and pickle; and the classifier itself."""
    pytest.importorskip("sklearn")
    io = pytest.importorskip("skops.io")
    from sklearn.linear_model import LinearRegression, LogisticRegression

    folder = tmp_path_factory.mktemp("sklearn")
    obs = observations(200, seed=3)
    classifier = LogisticRegression().fit(obs, (obs[:, 2] > 0).astype(int))
    regressor = LinearRegression().fit(obs, np.clip(obs[:, :2], [-2, 0], [1, 0.7]) * 0.01 + [0, 0.1])
    io.dump(classifier, folder / "classifier.skops")
    io.dump(regressor, folder / "regressor.skops")
    io.dump([1, 2], folder / "list.skops")
    (folder / "classifier.pkl").write_bytes(pickle.dumps(classifier))
    (folder / "junk.skops").write_bytes(b"junk")
    return folder, classifier, regressor


def test_a_model_of_scikit_learn_acts(sklearn_files):
    folder, classifier, regressor = sklearn_files
    obs = observations()
    acting = load(f"sklearn:{folder / 'classifier.skops'}", CARTPOLE, None)
    assert acting.act(obs, True).tolist() == classifier.predict(obs).tolist()
    np.testing.assert_allclose(acting.probabilities(obs), classifier.predict_proba(obs), rtol=1e-5)
    assert 0 < np.mean(acting.act(obs, False) != acting.act(obs, True)) < 0.5
    pickled = load(f"sklearn:{folder / 'classifier.pkl'}", CARTPOLE, None, trust=True)
    assert pickled.act(obs, True).tolist() == classifier.predict(obs).tolist()
    box = load(f"sklearn:{folder / 'regressor.skops'}", spaces(BOX), None)
    np.testing.assert_allclose(box.act(obs, True), regressor.predict(obs), rtol=1e-5)
    three = load(f"sklearn:{folder / 'classifier.skops'}", spaces(gym.spaces.Discrete(3)), None)
    assert three.probabilities(obs)[:, 2].tolist() == [0.0] * len(obs)


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(sklearn_files, tmp_path):
    bomb = tmp_path / "bomb.skops"
    with zipfile.ZipFile(sklearn_files[0] / "classifier.skops") as model:
        bomb.write_bytes((sklearn_files[0] / "classifier.skops").read_bytes())
        assert model.namelist()
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.npy", "w") as entry:
        for _ in range(257):
            entry.write(bytes(1 << 20))
    assert bomb.stat().st_size < 1 << 20
    refused(r"is 257 MiB when unpacked, and the limit is 256 MiB", f"sklearn:{bomb}", trust=False)


def test_a_model_of_scikit_learn_that_does_not_fit_is_one_sentence(sklearn_files):
    folder = sklearn_files[0]
    refused(r"is a pickle, which can run code when it is read: add --trust", f"sklearn:{folder}/x.pkl", trust=False)
    refused(r"the file .*nowhere\.skops does not exist$", f"sklearn:{folder}/nowhere.skops", trust=False)
    refused(r"cannot be read: ", f"sklearn:{folder}/junk.skops", trust=False)
    refused(r"holds list, which has no predict$", f"sklearn:{folder}/list.skops", trust=False)
    spec = f"sklearn:{folder}/classifier.skops"
    for observation, message in (
        (gym.spaces.Box(-1, 1, (7,)), r"takes 4 features, but cartpole has 7: name a model of cartpole$"),
        (OBSERVATIONS["Dict"], r"takes rows of numbers .*\[FlattenObservation\]"),
    ):
        with pytest.raises(InputError, match=message):
            load(spec, Spaces("cartpole", observation, TWO), None)
    with pytest.raises(InputError, match=r"for observation 0 of 3: every action must be in Discrete\(2, start=5\)"):
        load(spec, spaces(gym.spaces.Discrete(2, start=5)), None).act(observations(3), True)
    assert is_cacheable(spec)
    assert not is_cacheable(f"sklearn:{folder}/classifier.pkl")


# -- ONNX of other tools -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_classifier_that_skl2onnx_converted_acts_by_its_labels(sklearn_files, tmp_path, zipmap):
    pytest.importorskip("skl2onnx")
    from skl2onnx import to_onnx

    _, classifier, _ = sklearn_files
    obs = observations()
    model = to_onnx(classifier, obs[:1], **({} if zipmap else {"options": {"zipmap": False}}))
    (tmp_path / "sk.onnx").write_bytes(model.SerializeToString())
    acting = load(f"onnx:{tmp_path / 'sk.onnx'}", CARTPOLE, None)
    assert acting.act(obs, True).tolist() == classifier.predict(obs).tolist()
    assert hasattr(acting, "probabilities") is not zipmap


@pytest.mark.parametrize("action", [TWO, BOX], ids=["Discrete", "Box"])
def test_the_export_of_the_guide_of_stable_baselines3_acts_as_the_model(tmp_path, action):
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.policies import ActorCriticPolicy

    torch.manual_seed(1)
    policy = ActorCriticPolicy(CARTPOLE.observation, action, lambda _: 1e-3, log_std_init=0.0)
    for parameter in policy.parameters():
        parameter.data.normal_()

    class Guide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.policy = policy

        def forward(self, observation):
            return self.policy(observation, deterministic=True)

    file = tmp_path / "guide.onnx"  # with the batch of one and without the names, as there
    torch.onnx.export(Guide(), (torch.randn(1, 4),), str(file), opset_version=17, input_names=["input"], dynamo=False)
    obs = observations()
    expected = np.stack([policy.predict(one, deterministic=True)[0] for one in obs])
    if action is BOX:
        assert (expected == BOX.high).any()  # the policy leaves the Box, and its prediction is clipped
    actions = load(f"onnx:{file}", spaces(action), None).act(obs, True)
    np.testing.assert_allclose(actions, expected, atol=1e-4)  # weights of order 1 are summed in another order


def with_weights_beside(folder, location="net.onnx.data", name="net.onnx", elements=8):
    """A graph `x · w`, whose weights are in another file."""
    onnx = pytest.importorskip("onnx")
    weights = np.random.default_rng(5).normal(size=(4, 2)).astype(np.float32)
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4, 2], data_location=1)
    for key, value in (("location", location), ("offset", "4"), ("length", str(4 * elements))):
        tensor.external_data.add(key=key, value=value)
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["logits"])
    infos = [[onnx.helper.make_tensor_value_info(n, 1, ["N", d])] for n, d in (("x", 4), ("logits", 2))]
    graph = onnx.helper.make_graph([node], "g", *infos, initializer=[tensor])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    (folder / name).write_bytes(model.SerializeToString())
    return f"onnx:{folder / name}", weights


def test_weights_beside_an_onnx_file_are_read_and_identify_it(tmp_path):
    spec, weights = with_weights_beside(tmp_path)
    beside, obs = tmp_path / "net.onnx.data", observations()
    beside.write_bytes(b"skip" + weights.tobytes())
    assert load(spec, CARTPOLE, None).act(obs, True).tolist() == (obs @ weights).argmax(axis=1).tolist()
    before = identity(spec)
    beside.write_bytes(b"skip" + (-weights).tobytes())
    assert identity(spec) not in (None, before)
    assert load(spec, CARTPOLE, None).act(obs, True).tolist() == (obs @ -weights).argmax(axis=1).tolist()
    beside.write_bytes(bytes(10))
    refused(r"net\.onnx\.data does not hold the weights 'w'$", spec)
    beside.unlink()
    refused(r"its weights .*net\.onnx\.data cannot be read \(.*\): put the file", spec)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "sub/file", "..", "", "a\\b"])
def test_weights_outside_of_the_folder_are_never_read(tmp_path, location):
    (tmp_path / "secret").write_bytes(bytes(100))
    (tmp_path / "own").mkdir()
    spec, _ = with_weights_beside(tmp_path / "own", location)
    refused(r"has weights in .*: they must be in the folder of net\.onnx$", spec)
    assert identity(spec) is None


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(100))
    (tmp_path / "own").mkdir()
    spec, _ = with_weights_beside(tmp_path / "own", "linked")
    (tmp_path / "own" / "linked").symlink_to(tmp_path / "secret")
    refused(r"has weights in 'linked', a link out of the folder", spec)


# -- ensembles ---------------------------------------------------------------------------------------------------------


def test_members_are_told_apart_from_a_plus_in_a_name(tmp_path):
    (tmp_path / "run").mkdir()
    assert members("onnx:a+b.onnx+sb3:ppo:m.zip+v.pkl+random") == ["onnx:a+b.onnx", "sb3:ppo:m.zip+v.pkl", "random"]
    assert members(f"{tmp_path / 'run'}+random") == [str(tmp_path / "run"), "random"]
    for rest in ("", "random", "onnx:a+b", "+random"):
        with pytest.raises(InputError, match=r"names fewer than two policies: give ensemble:<policy>\+<policy>$"):
            members(rest)


def test_an_ensemble_takes_the_mean_of_probabilities_or_votes(tmp_path, sklearn_files):
    folder, classifier, _ = sklearn_files
    spec, weights = with_weights_beside(tmp_path)
    (tmp_path / "net.onnx.data").write_bytes(b"skip" + weights.tobytes())
    obs, own = observations(), f"sklearn:{folder / 'classifier.skops'}"
    logits = obs @ weights
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    mean = (shares + classifier.predict_proba(obs)) / 2
    acting = load(f"ensemble:{spec}+{own}", CARTPOLE, None)
    assert acting.act(obs, True).tolist() == mean.argmax(axis=1).tolist()
    assert not np.array_equal(mean.argmax(axis=1), shares.argmax(axis=1))
    mask = np.tile([True, False], (len(obs), 1))
    assert (acting.act(obs, True, mask=mask) == 0).all()
    vote = load(f"ensemble:{own}+constant:1+constant:1", CARTPOLE, None).act(obs, True)
    assert vote.tolist() == [1] * len(obs)
    tied = load(f"ensemble:{own}+constant:1", CARTPOLE, None).act(obs, True)
    assert tied.tolist() == classifier.predict(obs).tolist()


def test_an_ensemble_needs_what_its_members_need(tmp_path, sklearn_files):
    pickled = f"sklearn:{sklearn_files[0] / 'classifier.pkl'}"
    refused(r"has 'sklearn:.*\.pkl', which is a pickle.*: add --trust", f"ensemble:{pickled}+random", trust=False)
    refused(r"is not supported on actions in Box", "ensemble:random+random", action=BOX)
    refused(
        r"'nowhere\.onnx' does not exist|the file nowhere\.onnx does not exist", "ensemble:onnx:nowhere.onnx+random"
    )
    assert identity(f"ensemble:{pickled}+random") != identity(f"ensemble:random+{pickled}")
    assert not is_cacheable(f"ensemble:{pickled}+random")
    assert is_cacheable("ensemble:constant:0+random")
