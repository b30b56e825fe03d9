"""EnvPool as a back end: deterministic, correct counts, and the same distribution as Gymnasium."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rl_eval import config as configs
from rl_eval import domains, exposure
from rl_eval.domains.gym import DOMAIN, Config
from rl_eval.envs import envpool_vector
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train

ROOT = Path(__file__).resolve().parents[2]
needs_envpool = pytest.mark.skipif(
    not envpool_vector.installed(), reason="envpool is not installed: pip install 'rl_eval[fast]'"
)
ALPHA = 1e-3  # of each two-sample test; the seeds are fixed, so it passes or fails for good


def vector(env_id="CartPole-v1", n_envs=4, backend="envpool", **kwargs):
    return DOMAIN.make(Config(id=env_id, backend=backend, workers=1, kwargs=kwargs), n_envs=n_envs, part="train")


def actions_of(envs_, rng):
    space = envs_.single_action_space
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(space.n, size=envs_.num_envs)
    return rng.uniform(space.low, space.high, (envs_.num_envs, *space.shape)).astype(np.float32)


def trace(envs_, steps, seeds):
    """Everything that a walk gives, as bytes a copy."""
    rng = np.random.default_rng(0)
    arrays = [envs_.reset(seed=seeds)[0]]
    for _ in range(steps):
        obs, rewards, terminated, truncated, infos = envs_.step(actions_of(envs_, rng))
        assert np.array_equal(infos["outcome"]["native_reward"], rewards)
        arrays += [obs, rewards, terminated, truncated]
    envs_.close()
    return [tuple(array[i].tobytes() for array in arrays) for i in range(envs_.num_envs)]


# -- which back end ----------------------------------------------------------------------------------------------------


@needs_envpool
@pytest.mark.parametrize("backend", ["auto", "envpool"])
@pytest.mark.parametrize("name", ["lunarlander", "cartpole"])
def test_envpool_is_used_only_for_training(name, backend):
    config = domains.validate({"name": name, "backend": backend})
    assert domains.make(config, n_envs=2, part="train").backend == "envpool"
    assert domains.make(config, n_envs=2, part="train", autoreset=False).backend == "gymnasium"
    for part in ("validation", "test"):
        assert domains.make(config, n_envs=2, part=part).backend == "gymnasium"


def test_without_envpool_auto_is_gymnasium_and_envpool_is_an_error(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert vector(backend="auto").backend == "gymnasium"
    with pytest.raises(InputError, match=r"envpool.*pip install 'rl_eval\[fast\]'"):
        vector(backend="envpool")


def test_the_default_is_gymnasium():
    assert DOMAIN.make(Config(id="CartPole-v1"), n_envs=2, part="train").backend == "gymnasium"


@needs_envpool
@pytest.mark.parametrize(("env_id", "kwargs"), [("LunarLander-v3", {"enable_wind": True}), ("FrozenLake-v1", {})])
def test_an_environment_that_it_has_not_is_gymnasiums(env_id, kwargs):
    assert vector(env_id, backend="auto", **kwargs).backend == "gymnasium"
    with pytest.raises(InputError, match="EnvPool has no environment that is known to equal"):
        vector(env_id, **kwargs)


@needs_envpool
def test_kwargs_that_are_another_id_are_that():
    assert envpool_vector.task_of(gym.spec("LunarLander-v3"), {"continuous": True}) == "LunarLanderContinuous-v3"
    assert vector("LunarLander-v3", continuous=True).single_action_space.shape == (2,)


# -- what it gives -----------------------------------------------------------------------------------------------------


@needs_envpool
@pytest.mark.parametrize("env_id", ["CartPole-v1", "LunarLander-v3", "Pendulum-v1"])
def test_its_spaces_are_gymnasiums(env_id):
    envs, reference = vector(env_id), SyncVectorEnv([lambda: gym.make(env_id)] * 4)
    for name in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(envs, name) == getattr(reference, name)
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    obs, _ = envs.reset(seed=1)
    assert obs.dtype == np.float32
    assert obs in envs.observation_space


@needs_envpool
@pytest.mark.parametrize(("env_id", "steps"), [("CartPole-v1", 150), ("LunarLander-v3", 200)])
def test_the_same_seeds_give_the_same_bytes_whatever_the_threads(env_id, steps):
    def walk(threads, seeds):
        return trace(envpool_vector.EnvPoolVector(env_id, gym.make(env_id), 5, threads), steps, seeds)

    first = walk(1, [3, 1, 4, 15, 9])
    assert first == walk(1, [3, 1, 4, 15, 9]) == walk(2, [3, 1, 4, 15, 9]) == walk(3, [3, 1, 4, 15, 9])
    assert len(set(first)) == 5
    assert not set(first) & set(walk(1, [2, 5, 6, 7, 8]))


@needs_envpool
def test_a_reset_with_seeds_begins_anew_and_one_without_goes_on():
    envs = vector()
    first = envs.reset(seed=[5, 6, 7, 8])[0]
    for _ in range(40):
        envs.step(np.ones(4, int))
    on = envs.reset()[0]
    assert not np.array_equal(on, first)
    assert np.array_equal(envs.reset(seed=[5, 6, 7, 8])[0], first)
    assert np.array_equal(envs.reset(seed=5)[0], first)
    assert not np.array_equal(vector().reset()[0], vector().reset()[0])
    with pytest.raises(ValueError, match="takes no options"):
        envs.reset(options={"reset_mask": np.ones(4, bool)})


@needs_envpool
def test_the_step_after_an_end_ignores_its_action_and_a_limit_truncates():
    limit = 9
    envs = vector(max_episode_steps=limit)
    envs.reset(seed=[1, 2, 3, 4])
    rng, age, over = np.random.default_rng(0), np.zeros(4, int), np.zeros(4, bool)
    ends = {"terminated": 0, "truncated": 0}
    for _ in range(400):
        obs, rewards, terminated, truncated, _ = envs.step(rng.integers(2, size=4))
        age = np.where(over, 0, age + 1)
        assert np.array_equal(rewards, ~over)
        assert (np.abs(obs[over]) <= 0.05).all()  # where CartPole starts
        assert np.array_equal(truncated, age == limit)
        assert not (over & (terminated | truncated)).any()
        fallen = (np.abs(obs[:, 2]) > 12 * 2 * np.pi / 360) | (np.abs(obs[:, 0]) > 2.4)
        assert np.array_equal(terminated, fallen)
        over = terminated | truncated
        ends["terminated"] += terminated.sum()
        ends["truncated"] += truncated.sum()
    assert all(ends.values())


@needs_envpool
def test_an_episode_that_terminates_in_its_last_step_has_terminated():
    """A pole that is pushed one way falls after about nine steps: here that is the limit too."""
    envs = vector(n_envs=30, max_episode_steps=9)
    envs.reset(seed=0)
    for _ in range(9):
        _, _, terminated, truncated, _ = envs.step(np.ones(30, int))
    assert terminated.any()
    assert truncated[terminated].all()


STATE = {
    "CartPole-v1": lambda obs: obs,
    "MountainCar-v0": lambda obs: obs,
    "MountainCarContinuous-v0": lambda obs: obs,
    "Pendulum-v1": lambda obs: np.array([np.arctan2(obs[1], obs[0]), obs[2]]),
    "Acrobot-v1": lambda obs: np.array([np.arctan2(obs[1], obs[0]), np.arctan2(obs[3], obs[2]), obs[4], obs[5]]),
}


@needs_envpool
@pytest.mark.parametrize("env_id", STATE)
def test_classic_control_takes_gymnasiums_very_step(env_id):
    """Put where EnvPool is, Gymnasium's environment goes where EnvPool goes."""
    envs, reference = vector(env_id, n_envs=1), gym.make(env_id).unwrapped
    reference.reset(seed=0)
    obs, rng, over = envs.reset(seed=2)[0], np.random.default_rng(1), False
    for _ in range(250):
        action = actions_of(envs, rng)
        before, (obs, rewards, terminated, truncated, _) = obs, envs.step(action)
        if not over:
            reference.reset()
            reference.state = STATE[env_id](before[0].astype(float))
            expected, reward, ends, _, _ = reference.step(action[0])
            np.testing.assert_allclose(obs[0], expected, atol=2e-4)
            assert rewards[0] == pytest.approx(reward, abs=2e-3)
            assert terminated[0] == ends
        over = bool(terminated[0] or truncated[0])


def episodes(envs_, act, per_copy):
    """Return and length of the first `per_copy` episodes of every copy: the short ones are not to come first."""
    n = envs_.num_envs
    obs, _ = envs_.reset(seed=list(range(100, 100 + n)))
    returns, lengths, over, ended = np.zeros(n), np.zeros(n), np.zeros(n, bool), [[] for _ in range(n)]
    while min(map(len, ended)) < per_copy:
        obs, rewards, terminated, truncated, _ = envs_.step(act(obs))
        returns, lengths, done = returns + rewards, lengths + ~over, terminated | truncated
        for i in np.flatnonzero(done):
            ended[i].append((returns[i], lengths[i]))
            returns[i] = lengths[i] = 0
        over = done if envs_.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP else over
    envs_.close()
    return np.array([episode for copy in ended for episode in copy[:per_copy]])


def balance(obs):
    """A linear policy that keeps CartPole up for a while, and falls."""
    return (obs @ np.array([0.3, 0.5, 3.0, 0.6]) + 0.4 * np.sin(40 * obs[:, 0]) > 0.15).astype(int)


def descend(obs):
    """A linear policy that brings LunarLander down somehow: main engine when fast, side engines against the tilt."""
    tilt = 0.5 * obs[:, 4] + obs[:, 5] + 0.3 * obs[:, 2] + 0.3 * obs[:, 0]
    return np.where(obs[:, 3] < -0.25 - 0.2 * obs[:, 1], 2, np.where(tilt > 0.1, 3, np.where(tilt < -0.1, 1, 0)))


def agree(env_id, policy, n_envs=25, per_copy=10, **kwargs):
    from scipy.stats import ks_2samp

    results = []
    for seed, backend in enumerate(("gymnasium", "envpool")):
        envs, rng = vector(env_id, n_envs, backend, **kwargs), np.random.default_rng(seed)
        results.append(episodes(envs, policy or (lambda obs, e=envs, r=rng: actions_of(e, r)), per_copy))
    for column, what in enumerate(("return", "length")):
        assert ks_2samp(results[0][:, column], results[1][:, column]).pvalue > ALPHA, (
            what,
            [f.mean(0) for f in results],
        )


@needs_envpool
@pytest.mark.parametrize(
    ("env_id", "policy", "kwargs"),
    [
        ("CartPole-v1", None, {}),
        ("CartPole-v1", balance, {}),
        ("LunarLander-v3", None, {}),
        ("LunarLander-v3", descend, {}),
    ],
    ids=["cartpole-random", "cartpole-linear", "lunarlander-random", "lunarlander-linear"],
)
def test_episodes_are_distributed_as_gymnasiums(env_id, policy, kwargs):
    agree(env_id, policy, **kwargs)


@needs_envpool
@pytest.mark.verify
@pytest.mark.parametrize(
    "env_id", ["LunarLanderContinuous-v3", "BipedalWalker-v3", "BipedalWalkerHardcore-v3", "Pendulum-v1", "Acrobot-v1"]
)
def test_the_others_are_distributed_as_gymnasiums_too(env_id):
    agree(env_id, None)


# -- in training -------------------------------------------------------------------------------------------------------

SHORT = [
    "env=cartpole", "env.backend=envpool", "total_steps=6000", "agent.n_envs=4", "agent.n_steps=64",
    "agent.n_epochs=1", "agent.normalize_obs=true", "agent.normalize_reward=true", "resume_every=2048",
    "validation.every=2048", "validation.episodes=2",
]  # fmt: skip


def learn(directory, *, stop_at=None, resume=False):
    config = configs.load(compose(ROOT / "conf", SHORT))
    directory.mkdir(exist_ok=True)

    def on_step(env_steps, *_):
        if stop_at is not None and env_steps >= stop_at:
            signal.raise_signal(signal.SIGINT)

    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    return train(config, directory, tracker=tracker, on_step=on_step, resume=resume)


@needs_envpool
def test_training_counts_its_steps_records_its_starts_and_goes_on_to_the_bit(tmp_path):
    run = learn(tmp_path / "uninterrupted")
    info = run.info
    assert (info["status"], info["backend"]) == ("finished", "envpool")
    assert info["steps_finished"] + info["steps_in_flight"] + info["steps_cut"] == info["env_steps"]
    points = info["env_steps"] // 2048
    begun = info["episodes"] + 4 * (1 + points)  # and those in flight at the start and at every resume point
    recorded = int(exposure.read_exposure(run.path).train.counts.sum())
    assert begun - 4 * (1 + points) <= recorded <= begun
    learn(tmp_path / "broken", stop_at=3000)
    again = learn(tmp_path / "broken", resume=True)
    assert again.info["env_steps"] == info["env_steps"]
    both = [
        (finished.judged_snapshot() / "policy.safetensors").read_bytes() + (finished.path / "seen.npz").read_bytes()
        for finished in (run, again)
    ]
    assert both[0] == both[1]


@needs_envpool
@pytest.mark.verify
@pytest.mark.parametrize(("env", "steps"), [("cartpole", 60_000), ("lunarlander", 300_000)])
def test_learning_curves_and_verdicts_agree(env, steps, tmp_path):
    """Mean training returns of five seeds a back end, at four places: a rank test; and both pass their gate."""
    from scipy.stats import mannwhitneyu

    curves, decisions = {}, {}
    for backend in ("gymnasium", "envpool"):
        curves[backend] = []
        for seed in range(1, 6):
            folder = tmp_path / f"{backend}{seed}"
            command = [
                sys.executable, str(ROOT / "train.py"), f"env={env}", f"env.backend={backend}", f"seed={seed}",
                f"total_steps={steps}", "validation.stop_at=null", f"hydra.run.dir={folder}",
            ]  # fmt: skip
            environment = {**os.environ, "COLUMNS": "160"}
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800, env=environment)
            assert done.returncode == 0, done.stderr
            rows = np.genfromtxt(folder / "metrics.csv", delimiter=",", names=True)
            at = np.linspace(0.25, 1.0, 4) * steps
            curves[backend].append(np.interp(at, rows["env_steps"], rows["episode_return_mean"]))
            suites = json.loads((folder / "verdict.json").read_text())["suites"]
            criteria = {c["criterion"]: c["decision"] for suite in suites for c in suite["criteria"]}
            decisions[backend, seed] = criteria["solved" if env == "cartpole" else "mean_return"]
    print("\n", env, {name: np.round(np.mean(rows, 0), 1).tolist() for name, rows in curves.items()}, decisions)
    for envpool, gymnasium in zip(np.transpose(curves["envpool"]), np.transpose(curves["gymnasium"]), strict=True):
        assert mannwhitneyu(envpool, gymnasium).pvalue > 0.01
    for backend in ("gymnasium", "envpool"):
        assert sum(decisions[backend, seed] == "PASS" for seed in range(1, 6)) >= 4, decisions
