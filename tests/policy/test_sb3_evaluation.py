"""`sb3:` models score each episode as Stable-Baselines3's own evaluation does, on any number of copies."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval import domains
from rl_eval.domains.gym import Config
from rl_eval.errors import InputError
from rl_eval.policy import Spaces, load
from rl_eval.rollout import play

sb3 = pytest.importorskip("stable_baselines3")
from stable_baselines3.common.evaluation import evaluate_policy  # noqa: E402
from stable_baselines3.common.monitor import Monitor  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

SEEDS = range(50, 56)
STEPS = 40


class ShortPendulum(gym.Wrapper):
    """Pendulum, for 40 steps."""

    def __init__(self):
        super().__init__(gym.wrappers.TimeLimit(gym.make("Pendulum-v1").unwrapped, STEPS))


gym.register("ShortPendulum-v0", ShortPendulum)
RECURRENT = "RecurrentPPO"  # of sb3-contrib
ENVIRONMENT = {"PPO": "ShortPendulum-v0", "A2C": "ShortPendulum-v0", "SAC": "ShortPendulum-v0",
               "TD3": "ShortPendulum-v0", "DQN": "CartPole-v1"}  # fmt: skip
SMALL = {
    "PPO": {"n_steps": 64, "n_epochs": 1},
    "A2C": {},
    "SAC": {"learning_starts": 10, "buffer_size": 200},
    "TD3": {"learning_starts": 10, "buffer_size": 200},
    "DQN": {"learning_starts": 10, "buffer_size": 200},
    RECURRENT: {"n_steps": 32, "n_epochs": 1},
    "QRDQN": {"learning_starts": 60, "buffer_size": 200},
    "TQC": {"learning_starts": 60, "buffer_size": 200},
}
CONTRIB = {RECURRENT, "QRDQN", "TQC"}


CASES = [*ENVIRONMENT.items(), (RECURRENT, "CartPole-v1"), (RECURRENT, "ShortPendulum-v0"),
         ("QRDQN", "CartPole-v1"), ("TQC", "ShortPendulum-v0")]  # fmt: skip


def algorithm_class(name):
    return getattr(pytest.importorskip("sb3_contrib") if name in CONTRIB else sb3, name)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(("algorithm", "id"), CASES)
def test_an_episode_has_the_score_of_the_models_own_evaluation(algorithm, id, normalized, tmp_path):
    model_class = algorithm_class(algorithm)
    torch.set_num_threads(1)
    vector = DummyVecEnv([lambda: Monitor(gym.make(id))])
    env = VecNormalize(vector, clip_obs=2.0) if normalized else vector
    network = {"net_arch": [8], "lstm_hidden_size": 8} if algorithm == RECURRENT else {"net_arch": [64, 64]}
    policy = "MlpLstmPolicy" if algorithm == RECURRENT else "MlpPolicy"
    model = model_class(policy, env, seed=0, device="cpu", policy_kwargs=network, **SMALL[algorithm]).learn(70)
    model.save(tmp_path / "model.zip")
    spec = f"sb3:{algorithm}:{tmp_path / 'model.zip'}"
    if normalized:
        env.save(str(tmp_path / "statistics.pkl"))
        env.training = False
        spec += f"+{tmp_path / 'statistics.pkl'}"
    expected = []
    for seed in SEEDS:
        env.seed(seed)
        expected += evaluate_policy(model, env, n_eval_episodes=1, return_episode_rewards=True)[0]
    assert len(np.unique(expected)) > 1
    config = Config(id=id)
    for copies in (1, 2, 10, 32):
        envs = domains.make(config, n_envs=copies, part="test", autoreset=False)
        acting = load(spec, Spaces.of(config, envs), config, trust=True)
        returns = play(envs, acting, seeds=SEEDS).per_episode("native_reward")
        envs.close()
        np.testing.assert_allclose(returns, expected, rtol=0, atol=1e-6)


def played(spec, config, copies=3):
    envs = domains.make(config, n_envs=copies, part="test", autoreset=False)
    return play(envs, load(spec, Spaces.of(config, envs), config, trust=True), seeds=SEEDS)


TAXI = max(name for name in gym.registry if name.startswith("Taxi-v"))  # Gymnasium has one version at a time


@pytest.mark.parametrize(
    ("algorithm", "id"), [("PPO", "FrozenLake-v1"), ("DQN", TAXI), ("QRDQN", "CliffWalking-v1"), ("PPO", TAXI)]
)
def test_models_of_discrete_observations_are_judged_as_they_are(algorithm, id, tmp_path):
    env = DummyVecEnv([lambda: Monitor(gym.make(id, max_episode_steps=30))])
    torch.manual_seed(2)
    model = algorithm_class(algorithm)(
        "MlpPolicy", env, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}, **SMALL[algorithm]
    )
    for parameter in model.policy.parameters():
        parameter.data.normal_()
    model.save(tmp_path / "model")
    expected = []
    for seed in SEEDS:
        env.seed(seed)
        expected += evaluate_policy(model, env, n_eval_episodes=1, return_episode_rewards=True)[1]
    episodes = played(f"sb3:{algorithm}:{tmp_path / 'model'}", Config(id=id, max_episode_steps=30))
    assert episodes.lengths.tolist() == expected


class Masked(gym.Env):
    """The reward is the action, but only two of six are legal, which sb3-contrib asks `action_masks()` for."""

    observation_space = gym.spaces.Box(-1, 1, (3,))

    def __init__(self, several=False):
        self.action_space = gym.spaces.MultiDiscrete([4, 2]) if several else gym.spaces.Discrete(6)

    def action_masks(self):
        return self.legal

    def _next(self):
        self.legal = self.np_random.permutation(np.arange(6) < 2)
        if isinstance(self.action_space, gym.spaces.MultiDiscrete):
            self.legal[[0, 4 + self.left % 2]] = True
        return self.np_random.uniform(-1, 1, 3).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 6
        return self._next(), {}

    def step(self, action):
        parts = np.atleast_1d(action) + ([0, 4] if np.ndim(action) else 0)
        assert self.legal[parts].all()
        self.left -= 1
        return self._next(), float(parts.sum() + self.np_random.uniform()), self.left == 0, False, {}


@pytest.mark.parametrize("several", [False, True], ids=["Discrete", "MultiDiscrete"])
def test_a_maskable_model_gets_the_masks_of_the_environments_method(several, tmp_path):
    contrib = pytest.importorskip("sb3_contrib")
    from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_maskable

    gym.register("Masked-v0", Masked)
    try:
        env = DummyVecEnv([lambda: Monitor(Masked(several))])
        model = contrib.MaskablePPO("MlpPolicy", env, n_steps=8, batch_size=8, seed=0, device="cpu")
        model.save(tmp_path / "model")
        expected = []
        for seed in SEEDS:
            env.seed(seed)
            expected += evaluate_maskable(model, env, n_eval_episodes=1, return_episode_rewards=True)[0]
        config = Config(id="Masked-v0", kwargs={"several": several})
        for copies in (1, 8):
            returns = played(f"sb3:maskableppo:{tmp_path / 'model'}", config, copies).per_episode("native_reward")
            np.testing.assert_allclose(returns, expected, rtol=0, atol=1e-6)
        for control in ("random", "constant:low" if several else "constant:1", "untrained"):
            assert len(played(control, config)) == len(SEEDS)  # the environment asserts that they are legal
    finally:
        del gym.registry["Masked-v0"]


def test_masks_of_other_actions_are_refused():
    class Odd(Masked):
        action_space = gym.spaces.MultiBinary(3)

        def __init__(self):
            pass

    gym.register("OddMasks-v0", Odd)
    try:
        with pytest.raises(InputError, match=r"^environment 'OddMasks-v0' has action_masks\(\) for actions in MultiB"):
            domains.make(Config(id="OddMasks-v0"), n_envs=1, part="test", autoreset=False)
    finally:
        del gym.registry["OddMasks-v0"]
