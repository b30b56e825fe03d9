"""Whatever acts: the controls, runs, other people's code and models, and what each of them is refused for."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents import policy as networks
from agents.config import NetworkConfig
from agents.networks import ActorCritic, Inference
from rl_eval import policy, run
from rl_eval.domains import cartpole, threat
from rl_eval.errors import InputError
from rl_eval.policy import Spaces, load
from rl_eval.rollout import play
from rl_eval.target import resolve

OBS = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
ODD = gym.spaces.Discrete(3, start=-1)
BOX = gym.spaces.Box(np.array([-2, 0], np.float32), np.array([1, 0.7], np.float32))
ENDLESS = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
CARTPOLE = Spaces("cartpole", OBS, gym.spaces.Discrete(2))
SMALL = threat.Config(train_flows=1000, validation_flows=200, test_flows=200)


def spaces(action, obs=OBS, env="cartpole"):
    return Spaces(env, obs, action)


def observations(n=50, size=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size)).astype(np.float32)


def refused(said, spec, *, action=CARTPOLE.action, config=None, trust=True):
    with pytest.raises(InputError, match=said) as error:
        load(spec, spaces(action), config or cartpole.Config(), trust=trust)
    assert "\n" not in str(error.value)


# -- controls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [gym.spaces.Discrete(5), ODD, BOX, ENDLESS])
def test_random_is_uniform_over_the_action_space_and_repeats_by_seed(action):
    n = 20_000
    actions = load("random", spaces(action), None, seed=3).act(np.zeros((n, 4)), True)
    again, other = (load("random", spaces(action), None, seed=s).act(np.zeros((n, 4)), False) for s in (3, 4))
    assert np.array_equal(actions, again)
    assert not np.array_equal(actions, other)
    assert all(one in action for one in actions[:200])
    assert actions.shape == (n, *action.shape)
    if isinstance(action, gym.spaces.Discrete):
        shares = np.bincount(actions - action.start, minlength=action.n) / n
        np.testing.assert_allclose(shares, 1 / action.n, atol=0.02)  # 5 standard errors
    elif action is BOX:
        np.testing.assert_allclose(
            np.quantile(actions, [0.25, 0.75], axis=0), [[-1.25, 0.175], [0.25, 0.525]], atol=0.06
        )


@given(value=st.integers(-3, 5))
def test_a_constant_is_any_action_and_no_other(value):
    if value in ODD:
        actions = load(f"constant:{value}", spaces(ODD), None).act(observations(), True)
        assert actions.tolist() == [value] * 50
        assert actions[0] in ODD
    else:
        refused(
            rf"^policy constant:{value} is not an action: the actions are -1 to 1$", f"constant:{value}", action=ODD
        )


@pytest.mark.parametrize(
    ("value", "expected"), [("low", [-2, 0]), ("middle", [-0.5, 0.35]), ("high", [1, 0.7]), ("0.7", [0.7, 0.7])]
)
def test_a_constant_on_a_box_is_low_middle_high_or_a_number(value, expected):
    actions = load(f"constant:{value}", spaces(BOX), None).act(observations(3), False)
    np.testing.assert_allclose(actions, [expected] * 3, rtol=1e-6)
    assert actions[0] in BOX


@pytest.mark.parametrize("value", ["low", "middle", "high", "-7.5"])
def test_a_constant_on_a_box_without_bounds_is_finite(value):
    actions = load(f"constant:{value}", spaces(ENDLESS), None).act(observations(3), True)
    assert np.isfinite(actions).all()
    assert actions[0] in ENDLESS


@pytest.mark.parametrize("value", ["--1", "²", "1.0", "one", "nan", "low"])
def test_a_constant_that_is_no_discrete_action_is_said(value):
    refused(r"is not an action: the actions are 0 to 1$", f"constant:{value}")


@pytest.mark.parametrize("value", ["nan", "inf", "-3", "0.8", "left", "1,2"])
def test_a_constant_that_is_no_continuous_action_is_said(value):
    said = r"^policy constant:.* is not an action: give low, middle, high or one number from 0 to 0\.7$"
    refused(said, f"constant:{value}", action=BOX)


@pytest.mark.parametrize("action", [CARTPOLE.action, ODD, BOX, ENDLESS])
def test_untrained_is_one_network_an_initialisation(action):
    def act(which, seed=0, greedy=True):
        return load(which, spaces(action), None, seed=seed).act(observations(), greedy)

    three = [act(f"untrained:{k}") for k in range(3)]
    assert np.array_equal(three[0], act("untrained"))
    for k, actions in enumerate(three):
        assert np.array_equal(actions, act(f"untrained:{k}", seed=9))  # the seed is of the draws, not of the weights
        assert all(one in action for one in actions)
        assert all(not np.array_equal(actions, other) for other in three[k + 1 :])
    assert np.array_equal(act("untrained", greedy=False), act("untrained", greedy=False))
    assert not np.array_equal(act("untrained", greedy=False), act("untrained", seed=1, greedy=False))


@pytest.mark.parametrize("action", [CARTPOLE.action, ODD, BOX, ENDLESS])
def test_untrained_is_the_network_that_training_begins_with(action):
    ours = ActorCritic(4, action, NetworkConfig(), np.random.default_rng([0x1A17, 2]))
    began = networks.NetworkPolicy(Inference(ours), action, None, np.inf, None, seed=7)
    control = load("untrained:2", spaces(action), None, seed=7)
    for greedy in (True, False):
        np.testing.assert_allclose(control.act(observations(), greedy), began.act(observations(), greedy), atol=1e-6)


@pytest.mark.parametrize("which", ["x", "-1", "9" * 20])
def test_untrained_takes_a_number(which):
    refused(rf"^policy untrained:{which} is not one: give untrained, or untrained:<k>", f"untrained:{which}")


@pytest.mark.parametrize(
    "spec", ["nope", "python:", "constant", "constant:", "untraind", "onnx", "onnx:", "", "http", "http:", "ftp://x"]
)
def test_what_names_no_policy_is_said_with_what_does(spec):
    if spec == "":
        refused(r"is not a run directory", spec)  # the working directory
    else:
        refused(r"is neither a run directory nor a policy: give a run directory, random, constant:<a>, ", spec)


def test_random_takes_nothing_after_its_name():
    refused(r"^policy 'random:1' is not one", "random:1")


# -- baselines ---------------------------------------------------------------------------------------------------------


def test_baselines_of_an_environment_are_policies_for_it():
    envs = threat.DOMAIN.make(SMALL, n_envs=4, part="test", autoreset=False)
    for name in ("bayes", "block_all", "logistic_regression"):
        acting = load(f"baseline:{name}", Spaces.of(SMALL, envs), SMALL)
        assert isinstance(acting, policy.Policy)
        assert play(envs, acting, seeds=[0]).lengths.tolist() == [200]


def test_an_unknown_baseline_is_said_with_the_nearest():
    refused(
        r"^baseline:bays is not a baseline of threat: did you mean 'bayes'\? it has ", "baseline:bays", config=SMALL
    )
    refused(r"^baseline:bayes is not a baseline of cartpole: it has none$", "baseline:bayes")


# -- runs --------------------------------------------------------------------------------------------------------------


def network(action, seed=0):
    return ActorCritic(4, action, NetworkConfig(widths=[8]), np.random.default_rng(seed), log_std_init=-1.0)


def write_run(path, action=CARTPOLE.action, env="cartpole", **changes):
    """A finished run of a small random network; returns the policy that it holds."""
    net = network(action)
    meta = {**networks.metadata(OBS, action, NetworkConfig(widths=[8]), 10.0), "agent": "ppo", "env": env, **changes}
    run.write_checkpoint(path / "snapshots" / "step_10", "policy", networks.pack(net, None, None), meta)
    run.write_json(path / "run.json", {"status": "finished", "snapshot": "step_10"})
    run.write_text(path / "config.yaml", f"env: {{name: {env}}}\n")
    return networks.NetworkPolicy(Inference(net), action, None, np.inf, None, seed=5)


@pytest.mark.parametrize("action", [CARTPOLE.action, ODD, BOX, ENDLESS])
def test_a_run_acts_as_the_network_that_was_saved(tmp_path, action):
    saved = write_run(tmp_path / "run", action)
    loaded = load(str(tmp_path / "run"), spaces(action), None, seed=5)
    for greedy in (True, False):
        expected, actions = saved.act(observations(), greedy), loaded.act(observations(), greedy)
        np.testing.assert_allclose(actions, expected, atol=1e-6)
        assert np.isfinite(actions).all()
        assert all(one in action for one in actions)


def test_a_run_acts_without_torch(tmp_path):
    write_run(tmp_path / "run")
    code = f"""
import sys
import gymnasium as gym
import numpy as np
from rl_eval.policy import Spaces, load
spaces = Spaces("cartpole", gym.spaces.Box(-np.inf, np.inf, (4,), np.float32), gym.spaces.Discrete(2), "CartPole-v1")
load({str(tmp_path / "run")!r}, spaces, None).act(np.zeros((3, 4), np.float32), False)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_run_of_another_environment_is_refused(tmp_path):
    path = tmp_path / "run"
    write_run(path)
    refused_for = [
        (
            spaces(CARTPOLE.action, env="gym"),
            r"run holds a policy for cartpole with .*, not for gym with .*name a run of",
        ),
        (spaces(CARTPOLE.action, obs=gym.spaces.Box(-1, 1, (8,))), r"shape \(4,\), not for cartpole with \(8,\)"),
        (
            spaces(ODD),
            r"for other actions \(.*\), but this cartpole takes Discrete\(3, start=-1\): name a run with the",
        ),
        (spaces(BOX), r"for other actions \(.*discrete.*\), but this cartpole takes Box"),
    ]
    for other, said in refused_for:
        with pytest.raises(InputError, match=said):
            load(str(path), other, None)


def test_a_truncated_or_altered_snapshot_is_named_and_refused(tmp_path):
    write_run(tmp_path / "run")
    file = tmp_path / "run/snapshots/step_10/policy.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:100], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damaged)
        refused(r"step_10/policy\.safetensors is truncated or altered", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"agent": "os.system"}, r"^agent='os\.system' is not an agent: choose ppo or a2c or dqn$"),
        ({"agent": "os:system"}, r"^agent='os:system' is not an agent"),
        ({"agent": "agents.policy:load"}, r"^agent='agents\.policy:load' is not an agent"),
        ({"agent": "pp0"}, r"^agent='pp0' is not an agent: did you mean 'ppo'"),
        ({"agent": ["ppo"]}, r"is not an agent"),
        ({"agent": None}, r"is not an agent"),
        ({"network": {"widths": [9]}}, r"policy\.json does not describe a policy of ours \(weight .*shape"),
        ({"network": {"wings": 2}}, r"policy\.json does not describe a policy of ours"),
        ({"obs_shape": None}, r"policy\.json does not describe a policy of ours"),
        ({"action_space": {"type": "discrete"}}, r"holds a policy for other actions"),
    ],
)
def test_a_snapshot_that_asks_for_something_else_is_refused(tmp_path, monkeypatch, changes, said):
    monkeypatch.setattr("os.system", lambda *_: pytest.fail("code from a run was run"))
    write_run(tmp_path / "run", **changes)
    refused(said, str(tmp_path / "run"))


@given(
    st.text().filter(lambda text: not text.startswith("rl_eval."))
    | st.sampled_from(["builtins.eval", "subprocess.run", "agents.policy.load", "rl_eval..", "rl_eval.run.os.system"])
)
def test_only_names_of_this_project_are_resolved(target):
    with pytest.raises(InputError, match="_target_="):
        resolve(target)


def test_a_directory_that_is_no_run_is_refused(tmp_path):
    refused(r"is not a run directory \(it has no run\.json and config\.yaml\)", str(tmp_path))
    (tmp_path / "file").write_text("")
    refused(r"file is not a directory: name a run directory", str(tmp_path / "file"))


def test_a_run_outside_its_checkout_says_how_to_take_it_along(tmp_path, monkeypatch):
    write_run(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "agents", None)
    refused(r"run is a run of train\.py, .*: there, `rl-eval export .*run --onnx` writes a", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *((spec, True) for spec in ("random", "untrained", "untrained:1", "constant:0", "baseline:x", "onnx:a/b.onnx")),
        *((spec, True) for spec in ("sb3:ppo:m.zip", "python:a:b", "http://127.0.0.1:1/", "https://localhost/")),
        *((spec, False) for spec in ("outputs/run", "/tmp/run", "constant", "onnx", "C:/runs/1", "run:1", "", ".")),
    ],
)
def test_a_policy_is_told_from_a_directory_by_its_first_word(given, expected):
    assert policy.names_policy(given) is expected


def test_the_identity_is_that_of_the_bytes_and_not_of_the_place(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (policy.identity(f"onnx:{tmp_path / name}") for name in "abc")
    assert a == b != c
    with_statistics = policy.identity(f"sb3:ppo:{tmp_path / 'a'}+{tmp_path / 'c'}")
    others = [policy.identity(f"sb3:{rest}") for rest in (f"ppo:{tmp_path / 'a'}", f"a2c:{tmp_path / 'a'}")]
    built_in = [policy.identity(spec) for spec in ("random", "constant:1", "untrained:1", "baseline:x")]
    identities = [a, c, with_statistics, *others, *built_in]
    assert len(set(identities)) == len(identities)
    assert None not in identities
    assert policy.identity(f"sb3:PPO:{tmp_path / 'b'}") == others[0]


def test_code_servers_and_missing_files_have_no_identity(tmp_path):
    for spec in ("python:a:b", "http://127.0.0.1:1/", f"onnx:{tmp_path / 'gone'}", str(tmp_path), "outputs/run"):
        assert policy.identity(spec) is None


def test_the_identity_of_a_run_is_that_of_its_judged_snapshot(tmp_path):
    write_run(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    identity = policy.identity(str(tmp_path / "a"))
    (tmp_path / "b" / "config.yaml").write_text("env: {name: cartpole}\nseed: 7\n")
    assert identity is not None
    assert policy.identity(str(tmp_path / "b")) == identity
    for name in ("policy.safetensors", "policy.json"):
        with open(tmp_path / "b" / "snapshots" / "step_10" / name, "ab") as file:
            file.write(b" ")
        changed = policy.identity(str(tmp_path / "b"))
        assert changed not in (None, identity)
        identity = changed


# -- python: -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def theirs(monkeypatch):
    """A module of somebody else's, which a test may fill."""
    module = ModuleType("their_module")
    monkeypatch.setitem(sys.modules, "their_module", module)
    return module


def pushes_right(obs):
    return np.ones(len(obs), np.int64)


class OfTheirs:
    def act(self, obs, greedy):
        return np.full(len(obs), int(greedy))


def test_a_function_an_object_or_a_class_of_somebody_elses_acts(theirs):
    theirs.function, theirs.instance, theirs.kind = pushes_right, OfTheirs(), OfTheirs
    theirs.both, theirs.listed = lambda obs, greedy=True: np.full(len(obs), int(greedy)), lambda obs: [1] * len(obs)
    for name, sampled in (("function", 1), ("listed", 1), ("instance", 0), ("kind", 0), ("both", 0)):
        acting = load(f"python:their_module:{name}", CARTPOLE, None, trust=True)
        for n in (1, 3):
            assert acting.act(observations(n), True).tolist() == [1] * n
            assert acting.act(observations(n), False).tolist() == [sampled] * n


def test_continuous_actions_of_somebody_elses_are_clipped_to_the_box(theirs):
    theirs.wild = lambda obs: obs[:, :2].astype(np.float64) * 10
    actions = load("python:their_module:wild", spaces(BOX), None, trust=True).act(observations(), True)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, np.clip(observations()[:, :2] * 10.0, BOX.low, BOX.high).astype(np.float32))


def test_code_is_imported_only_where_it_is_trusted(theirs, tmp_path, monkeypatch):
    theirs.function = pushes_right
    said = r"^policy 'python:.*' imports and runs code: add --trust if you trust where it comes from$"
    refused(said, "python:their_module:function", trust=False)
    (tmp_path / "boom_on_import.py").write_text("raise SystemError('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    refused(said, "python:boom_on_import:f", trust=False)
    refused(r"cannot be loaded: ran$", "python:boom_on_import:f", trust=True)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("nowhere_at_all:f", "cannot be loaded: No module named 'nowhere_at_all'"),
        (".relative:f", "cannot be loaded"),
        ("os:nothing", "cannot be loaded: module 'os' has no attribute 'nothing'"),
        ("os:sep", "names str, which cannot be called with observations"),
        ("fractions:Fraction.nothing", "cannot be loaded"),
        ("collections:ChainMap.__init__", "cannot be loaded"),
    ],
)
def test_code_that_cannot_be_loaded_is_said(rest, said):
    refused(rf"^policy 'python:{rest}' {said}", f"python:{rest}")


WRONG = {
    "one for all": (
        np.int64(1),
        CARTPOLE.action,
        r"of shape \(\) for 3 observations: .*one action an observation, \(3,\)",
    ),
    "too many": ([1, 1, 1, 1], CARTPOLE.action, r"of shape \(4,\) for 3 observations"),
    "a column": ([[1], [1], [1]], CARTPOLE.action, r"of shape \(3, 1\) for 3 observations"),
    "probabilities": (np.full((3, 2), 0.5), CARTPOLE.action, r"of shape \(3, 2\)"),
    "nothing": (None, CARTPOLE.action, r"of shape \(\)"),
    "no action": ([0, 1, 2], CARTPOLE.action, r"int64 actions that are none of the environment's: .* in Discrete\(2\)"),
    "fractions": ([0.0, 1.0, 1.0], CARTPOLE.action, r"float64 actions that are none"),
    "words": (["a", "b", "c"], CARTPOLE.action, r"<U1 actions that are none"),
    "a flat box": ([0.1, 0.1, 0.1], BOX, r"of shape \(3,\) for 3 observations: .*, \(3, 2\)"),
    "NaN": (np.full((3, 2), np.nan), BOX, r"float64 actions that are none of the environment's: .* in Box"),
}


@pytest.mark.parametrize(("answer", "action", "said"), WRONG.values(), ids=WRONG)
def test_an_answer_that_is_not_one_action_an_observation_is_said(theirs, answer, action, said):
    theirs.function, theirs.instance = lambda obs: answer, SimpleNamespace(act=lambda obs, greedy: answer)
    for name in ("function", "instance"):
        acting = load(f"python:their_module:{name}", spaces(action), None, trust=True)
        with pytest.raises(InputError, match=rf"^policy python:their_module:{name} returned .*{said}"):
            acting.act(observations(3), True)


# -- Stable-Baselines3 -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sb3(tmp_path_factory):
    """A PPO that trained a little on normalised CartPole, its environment, and its files."""
    pytest.importorskip("stable_baselines3")
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("sb3")
    normalized = VecNormalize(DummyVecEnv([lambda: gym.make("CartPole-v1")]), clip_obs=2.0)
    model = PPO("MlpPolicy", normalized, n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu").learn(256)
    model.save(folder / "model.zip")
    normalized.save(str(folder / "vecnormalize.pkl"))
    return SimpleNamespace(
        model=model, normalized=normalized, zip=folder / "model.zip", pkl=folder / "vecnormalize.pkl"
    )


def test_a_model_of_stable_baselines3_acts_as_it_does_there(sb3):
    obs = observations(400)
    normalized = sb3.normalized.normalize_obs(obs)
    assert np.abs(normalized - obs).max() > 0.1  # the statistics matter
    with_statistics = load(f"sb3:ppo:{sb3.zip}+{sb3.pkl}", CARTPOLE, None, trust=True)
    without = load(f"sb3:PPO:{sb3.zip}", CARTPOLE, None, trust=True)
    expected, plain = (sb3.model.predict(o, deterministic=True)[0] for o in (normalized, obs))
    assert np.array_equal(with_statistics.act(obs, True), expected)
    assert np.array_equal(without.act(obs, True), plain)
    assert not np.array_equal(expected, plain)
    assert len(set(expected.tolist())) == 2
    sampled = with_statistics.act(obs, False)
    assert not np.array_equal(sampled, expected)
    assert np.array_equal(with_statistics.act(obs, True), expected)  # judging does not move the statistics


def test_a_model_of_stable_baselines3_plays(sb3):
    envs = cartpole.DOMAIN.make(cartpole.Config(), n_envs=3, part="test", autoreset=False)
    acting = load(f"sb3:ppo:{sb3.zip}+{sb3.pkl}", Spaces.of(cartpole.Config(), envs), None, trust=True)
    assert (play(envs, acting, seeds=range(5)).lengths > 0).all()


def test_a_model_of_stable_baselines3_needs_trust(sb3, monkeypatch):
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("it was unpickled"))
    said = r"is a pickle, which can run code when it is read: add --trust if you trust where it comes from$"
    refused(said, f"sb3:ppo:{sb3.zip}+{sb3.pkl}", trust=False)
    refused(said, "sb3:ppo:nowhere.zip", trust=False)


def test_a_model_of_stable_baselines3_that_does_not_fit_is_said(sb3, tmp_path):
    (tmp_path / "junk.zip").write_bytes(sb3.zip.read_bytes()[:500])
    (tmp_path / "junk.pkl").write_bytes(b"junk")
    refused(r"the file nowhere\.zip does not exist$", "sb3:ppo:nowhere.zip")
    refused(r"the file nowhere\.pkl does not exist$", f"sb3:ppo:{sb3.zip}+nowhere.pkl")
    refused(r"'wings' is not an algorithm of Stable-Baselines3 \(ppo, a2c, dqn, sac, …\)$", f"sb3:wings:{sb3.zip}")
    refused(r"cannot be read: ", f"sb3:ppo:{tmp_path / 'junk.zip'}")
    refused(r"cannot be read: ", f"sb3:ppo:{sb3.zip}+{tmp_path / 'junk.pkl'}")
    refused(
        r"maps Box.* to Discrete\(2\), but cartpole has Box.* and Box.*: name a model of cartpole$",
        f"sb3:ppo:{sb3.zip}",
        action=BOX,
    )
    with pytest.raises(InputError, match=r"but cartpole has Box\(-1\.0, 1\.0, \(8,\), float32\)"):
        load(f"sb3:ppo:{sb3.zip}", spaces(CARTPOLE.action, obs=gym.spaces.Box(-1, 1, (8,))), None, trust=True)


def test_without_stable_baselines3_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    Path(tmp_path / "model.zip").write_bytes(b"")
    refused(r"needs Stable-Baselines3: pip install stable-baselines3", f"sb3:ppo:{tmp_path / 'model.zip'}")
