"""A new run from another run's snapshot: weights, statistics, preprocessing, exposure, lineage."""

import dataclasses
import hashlib
import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
import yaml

from rl_eval import agent_registry, domains, run
from rl_eval import config as configs
from rl_eval.command_line import read_command_line
from rl_eval.compare import compare_runs
from rl_eval.errors import InputError
from rl_eval.exposure import Exposure, read_exposure, write_exposure
from rl_eval.gates import held_out
from rl_eval.gates.suite import load_suite
from rl_eval.gates.suite_data import environment_to_judge
from rl_eval.hydra_compose import compose
from rl_eval.launch import groups_of_parent, plan
from rl_eval.policy import Spaces
from rl_eval.tracking import open_tracker
from rl_eval.training import Training, replay, take_over
from tests.gates.fake_runs import record_files
from tests.run_bytes import content
from tests.training.learn import ROOT, learn

THREAT = [
    "env=threat", "env.train_flows=3000", "env.validation_flows=1000", "env.test_flows=1000", "total_steps=2048",
    "agent.n_envs=16", "checkpoint_every=512", "resume_every=512", "log_every=512", "validation.every=1024",
    "validation.episodes=2",
]  # fmt: skip
NORMALIZED = ["agent.normalize_obs=true", "agent.normalize_reward=true"]
AGENTS = {
    "ppo": ["agent=ppo", "agent.n_steps=16", "agent.batch_size=128", "agent.normalize_return=true", *NORMALIZED],
    "a2c": ["agent=a2c", *NORMALIZED],
    "dqn": ["agent=dqn", "agent.updates_per_step=0.05", "agent.learning_starts=256", *NORMALIZED],
}
CARTPOLE = [
    "env=cartpole", "agent=ppo", "total_steps=1024", "agent.n_envs=4", "agent.n_steps=32", "agent.batch_size=128",
    "validation.every=512", "validation.episodes=2", "validation.stop_at=null",
]  # fmt: skip


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    """A finished run of each agent on threat; read only."""
    folder = tmp_path_factory.mktemp("parents")
    return {agent: learn([*THREAT, *overrides], folder / agent) for agent, overrides in AGENTS.items()}


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    return learn(CARTPOLE, tmp_path_factory.mktemp("cartpole") / "run")


def from_run(parent, *overrides, agent="ppo"):
    return [*THREAT, *AGENTS[agent], f"init='{parent.path}'", *overrides]


def first_agent(overrides, directory):
    """The agent of a run before its first step."""
    initial, config, _ = take_over(configs.load(compose(ROOT / "conf", overrides)))
    directory.mkdir()
    training = Training(config, directory, open_tracker(config.tracker, run_dir=directory, config={}), print, initial)
    training.begin()
    return training.agent


@pytest.mark.parametrize("agent", AGENTS)
def test_the_first_policy_is_that_of_the_snapshot(agent, parents, tmp_path):
    parent = parents[agent]
    arrays, meta = run.read_checkpoint(parent.judged_snapshot(), "policy")
    new = first_agent(from_run(parent, "seed=7", "lr=1e-5", agent=agent), tmp_path / "new")
    own_arrays, own_meta = new.policy_checkpoint()
    assert own_arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(own_arrays[name], array), name
    assert own_meta["reward_scale"] == meta["reward_scale"]
    assert meta["reward_scale"]["count"] > 0
    obs = np.random.default_rng(0).normal(size=(1000, *meta["obs_shape"])).astype(np.float32)
    load_policy = agent_registry.agent(meta["agent"]).load_policy
    before, after = load_policy(arrays, meta), load_policy(own_arrays, own_meta)
    assert np.array_equal(before.act(obs, greedy=True), after.act(obs, greedy=True))
    assert np.array_equal(before.values(obs), after.values(obs)) or agent == "dqn"  # whose reward scale is inexact
    if agent == "dqn":
        online, target = new.learner.online.state_dict(), new.learner.target.state_dict()
        assert all(np.array_equal(online[name], target[name]) for name in online)


@pytest.mark.parametrize("agent", AGENTS)
def test_a_stopped_run_goes_on_to_the_bit_without_its_parent(agent, parents, tmp_path):
    parent = tmp_path / "parent"
    shutil.copytree(parents[agent].path, parent)
    overrides = from_run(run.read_run(parent), "seed=7", agent=agent)
    uninterrupted = learn(overrides, tmp_path / "whole")
    learn(overrides, tmp_path / "early", stop_at=300)  # before the first resume point
    learn(overrides, tmp_path / "late", stop_at=1200)
    shutil.rmtree(parent)
    for name in ("early", "late"):
        again = learn(overrides, tmp_path / name, resume=True)
        assert again.finished
        assert content(again.path) == content(uninterrupted.path)


def test_lineage_names_every_run_before(parents, tmp_path):
    parent = parents["ppo"]
    second = learn(from_run(parent, "seed=7"), tmp_path / "second")
    snapshot = second.snapshots()[0]
    third = learn([*THREAT, *AGENTS["ppo"], f"init='{snapshot}'"], tmp_path / "third")
    first_row = {
        "run": str(parent.path),
        "snapshot": parent.judged_snapshot().name,
        "sha256": hashlib.sha256((parent.judged_snapshot() / "policy.safetensors").read_bytes()).hexdigest(),
        "env_steps": int(parent.judged_snapshot().name[5:]),
    }
    assert parent.info["init"] is None
    assert second.info["init"] == {**first_row, "lineage": []}
    assert third.info["init"]["snapshot"] == snapshot.name
    assert third.info["init"]["lineage"] == [first_row]


def test_a_replay_of_such_a_run_agrees_without_its_parent(parents, tmp_path):
    parent = tmp_path / "parent"
    shutil.copytree(parents["ppo"].path, parent)
    original = learn(from_run(run.read_run(parent), "seed=7"), tmp_path / "run")
    shutil.rmtree(parent)
    (tmp_path / "again").mkdir()
    again = replay(original, tmp_path / "again", trust=False, on_step=lambda *_: None)
    for name in ("seen.npz", "preprocessing.json", "snapshots/step_2048/policy.safetensors"):
        assert (again.path / name).read_bytes() == (original.path / name).read_bytes()


def test_what_the_parent_saw_counts_as_seen(parents, tmp_path):
    parent = parents["ppo"]
    new = learn(from_run(parent, "env.data_seed=5", "seed=7"), tmp_path / "new")
    before, after = read_exposure(parent.path), read_exposure(new.path)
    own = Exposure.of_cases(domains.validate(new.config["env"]), np.empty(0, np.int64))
    assert set(after.train.exact) == {*before.train.exact, *own.train.exact}
    assert set(after.validation.exact) == {*before.validation.exact, *own.validation.exact}
    assert set(before.train_seeds) < set(after.train_seeds)
    # a test set whose cases are those that the parent, and the parent alone, was trained on
    old_cases = held_out.TestSet("case", before.train.exact, before.train.views, np.empty(0, np.int64))
    assert not np.isin(own.train.exact, before.train.exact).any()
    assert held_out.check_runs([old_cases], [new]).decision == "ERROR"


def test_first_observations_that_the_parent_saw_count_as_seen(cartpole, tmp_path):
    new = learn([*CARTPOLE, f"init='{cartpole.path}'", "seed=7"], tmp_path / "new")
    before, after = read_exposure(cartpole.path), read_exposure(new.path)
    assert np.isin(before.train.exact, after.train.exact).all()
    assert len(after.train) > len(before.train)
    assert np.isin(before.validation_seeds, after.validation_seeds).all()


def test_other_data_is_seen_through_the_preprocessing_of_the_parent(parents, tmp_path):
    parent = parents["ppo"]
    new = learn(from_run(parent, "env.data_seed=5"), tmp_path / "new")
    fresh = compose(ROOT / "conf", [*THREAT, "env.data_seed=5"])["env"]
    fitted = json.loads((parent.path / "preprocessing.json").read_text())
    assert json.loads((new.path / "preprocessing.json").read_text()) == fitted
    threat = domains.domain("threat")
    assert threat.preprocessing(domains.validate(fresh))["numeric"] != fitted["numeric"]
    trained, fresh = domains.validate(new.config["env"]), domains.validate(fresh)
    assert not np.array_equal(threat.case_observations(trained, "test"), threat.case_observations(fresh, "test"))
    assert np.array_equal(threat.case_hashes(trained, "test"), threat.case_hashes(fresh, "test"))
    assert domains.identity(trained) == domains.identity(fresh)
    assert domains.with_fitted_keys(fresh, trained) == trained


def test_the_same_data_needs_no_preprocessing_in_the_config(parents, tmp_path):
    _, config, _ = take_over(configs.load(compose(ROOT / "conf", from_run(parents["ppo"]))))
    assert config.env.preprocessing is None


def test_statistics_of_another_reward_are_not_taken_over(parents, tmp_path):
    notices = []
    learn(from_run(parents["ppo"], "reward.terms.matrix.weight=2.0"), tmp_path / "new", notice=notices.append)
    assert len(notices) == 1
    assert "reward_scale" not in run.read_checkpoint(tmp_path / "new" / "init", "policy")[1]


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        (["agent.network={widths: [8]}"], ["[64, 64]", "[8]"]),
        (["agent.network.activation=gelu"], ["activation", "gelu"]),
        (["agent.normalize_obs=false"], ["normalize_obs"]),
        (["agent.clip_obs=3.0"], ["clip_obs"]),
        (AGENTS["a2c"], ["a2c", "ppo"]),
        (["env.alert_window=5"], ["(24,)", "(25,)"]),
    ],
)
def test_what_does_not_fit_is_one_sentence_with_both(overrides, names, parents):
    base = [o for o in from_run(parents["ppo"]) if not (overrides is AGENTS["a2c"] and o in AGENTS["ppo"])]
    with pytest.raises(InputError) as raised:
        plan(ROOT / "conf", ROOT / "suites", [*base, *overrides], multirun=False)
    assert all(word in str(raised.value) for word in names)
    assert "\n" not in str(raised.value)


def test_a_run_of_another_environment_is_refused(cartpole):
    with pytest.raises(InputError, match="cartpole"):
        plan(ROOT / "conf", ROOT / "suites", from_run(cartpole), multirun=False)


def test_data_with_other_fields_is_refused(parents, tmp_path):
    file = tmp_path / "preprocessing.json"
    fitted = json.loads((parents["ppo"].path / file.name).read_text())
    fitted["numeric"][0]["name"] = "elsewhere"
    config = domains.validate(compose(ROOT / "conf", THREAT)["env"])
    with pytest.raises(InputError, match="elsewhere"):
        domains.domain("threat").with_preprocessing(config, fitted)
    fitted["numeric"][0]["std"] = -1.0
    with pytest.raises(InputError, match="std"):
        domains.domain("threat").with_preprocessing(config, fitted)


@pytest.mark.parametrize("name", ["cartpole", "threat"])
def test_a_record_with_other_hashes_than_the_data_has_is_refused(cartpole, parents, tmp_path, name):
    parent = cartpole if name == "cartpole" else parents["ppo"]
    shutil.copytree(parent.path, tmp_path / "run")
    record = read_exposure(parent.path)
    wide = dataclasses.replace(record.train, views=np.repeat(record.train.views, 2, axis=1))
    write_exposure(tmp_path / "run", dataclasses.replace(record, train=wide))
    record_files(tmp_path / "run")
    overrides = [*CARTPOLE] if name == "cartpole" else [*THREAT, *AGENTS["ppo"]]
    with pytest.raises(InputError, match=r"seen\.npz is of data with other fields"):
        plan(ROOT / "conf", ROOT / "suites", [*overrides, f"init='{tmp_path / 'run'}'"], multirun=False)


@pytest.mark.parametrize("name", ["seen.npz", "preprocessing.json"])
def test_a_file_that_the_training_of_the_parent_did_not_write_is_refused(parents, tmp_path, name):
    shutil.copytree(parents["ppo"].path, tmp_path / "run")
    file = tmp_path / "run" / name
    if name == "seen.npz":
        record = read_exposure(tmp_path / "run")
        write_exposure(tmp_path / "run", dataclasses.replace(record, train=record.train.first(1)))
    else:
        file.write_bytes(file.read_bytes() + b"\n")
    overrides = [*THREAT, *AGENTS["ppo"], f"init='{tmp_path / 'run'}'"]
    with pytest.raises(InputError, match=rf"{name}.* SHA-256"):
        plan(ROOT / "conf", ROOT / "suites", overrides, multirun=False)


def test_a_path_with_any_characters_is_taken_as_typed(cartpole, tmp_path, monkeypatch):
    folder = tmp_path / "0_lr=0.001,seed=1 it's {one}"
    shutil.copytree(cartpole.path, folder)
    line = read_command_line([*CARTPOLE, f"init={folder}", "lr=1e-3,1e-4"])
    jobs = plan(ROOT / "conf", ROOT / "suites", line.overrides, True)
    assert [job.values["init"] for job in jobs] == [str(folder)] * 2
    assert [job.values["lr"] for job in jobs] == [1e-3, 1e-4]


def test_agent_and_environment_are_those_of_the_parent_where_none_is_chosen(cartpole):
    assert groups_of_parent([f"init={cartpole.path}", "lr=1e-4"]) == ["env=cartpole", "agent=ppo"]
    assert groups_of_parent([f"init={cartpole.path}/snapshots/step_1024", "env=gym"]) == ["agent=ppo"]
    assert groups_of_parent(["env=gym"]) == []
    assert groups_of_parent([f"init={cartpole.path}", "resume=elsewhere"]) == []


def test_a_run_that_did_not_finish_is_refused(tmp_path):
    stopped = learn(CARTPOLE, tmp_path / "stopped", stop_at=500)
    with pytest.raises(InputError, match=r"seen\.npz"):
        take_over(configs.load(compose(ROOT / "conf", [*CARTPOLE, f"init='{stopped.path}'"])))


def test_a_missing_or_damaged_snapshot_is_refused(cartpole, tmp_path):
    with pytest.raises(InputError, match="step_99"):
        take_over(configs.load(compose(ROOT / "conf", [*CARTPOLE, f"init='{cartpole.path}/snapshots/step_99'"])))
    copy = tmp_path / "copy"
    shutil.copytree(cartpole.path, copy)
    file = run.read_run(copy).judged_snapshot() / "policy.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="altered"):
        take_over(configs.load(compose(ROOT / "conf", [*CARTPOLE, f"init='{copy}'"])))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda arrays, meta: arrays.update({"network.actor_head.bias": np.array([np.nan, 0], np.float32)}), "finite"),
        (lambda arrays, meta: arrays.pop("network.actor_head.bias"), "actor_head.bias"),
        (lambda arrays, meta: arrays.update({"obs.mean": np.zeros(5), "obs.m2": np.zeros(5)}), "'obs'"),
        (lambda arrays, meta: arrays.update({"obs.m2": -arrays["obs.m2"] - 1}), "'obs'"),
        (lambda arrays, meta: arrays.pop("obs.count"), "'obs'"),
        (lambda arrays, meta: arrays.update({"return.mean": np.zeros(3)}), "'return'"),
        (lambda arrays, meta: meta.update(reward_scale="x"), "reward_scale"),
        (lambda arrays, meta: meta.update(reward_scale={"count": -1, "mean": 0, "m2": 1}), "reward_scale"),
    ],
)
def test_a_snapshot_with_numbers_that_do_not_fit_is_one_sentence(change, named, parents, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(parents["ppo"].path, copy)
    snapshot = run.read_run(copy).judged_snapshot()
    arrays, meta = run.read_checkpoint(snapshot, "policy")
    change(arrays, meta)
    run.write_checkpoint(snapshot, "policy", arrays, meta)
    overrides = from_run(run.read_run(copy))
    with pytest.raises(InputError) as raised:
        first_agent(overrides, tmp_path / "new")
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_snapshot_whose_shape_is_no_shape_is_refused(cartpole, tmp_path):
    initial = take_over(configs.load(compose(ROOT / "conf", [*CARTPOLE, f"init='{cartpole.path}'"])))[0]
    spaces = Spaces("cartpole", gym.spaces.Box(-1, 1, (4,), np.float32), gym.spaces.Discrete(2))
    initial.require_spaces(spaces)
    initial.meta["obs_shape"] = 3
    with pytest.raises(InputError, match="shape 3"):
        initial.require_spaces(spaces)


def test_gates_and_comparisons_play_each_run_on_its_own_observations(parents, tmp_path):
    new = learn(from_run(parents["ppo"], "env.data_seed=5"), tmp_path / "new")
    fresh = learn([*THREAT, *AGENTS["ppo"], "env.data_seed=5"], tmp_path / "fresh")
    names = [str(new.path), str(fresh.path)]
    scores = [compare_runs(order, episodes=3).scores for order in (names, names[::-1])]
    assert scores[0][0].values == scores[1][1].values
    assert scores[0][1].values == scores[1][0].values
    suite = tmp_path / "suite.yaml"
    env = {"name": "threat", "train_flows": 3000, "validation_flows": 1000, "test_flows": 1000, "data_seed": 5}
    criteria = {"cost": {"metric": "mean_cost", "at_most": 1.0, "by": "estimate"}}
    suite.write_text(yaml.safe_dump({"rl_eval": 1, "env": env, "criteria": criteria}))
    assert environment_to_judge(load_suite(suite), new) == domains.validate(new.config["env"])
    assert environment_to_judge(load_suite(suite), fresh).preprocessing is None
