"""`sb3:` models score each episode as Stable-Baselines3's own evaluation does, on any number of copies."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_eval import domains
from rl_eval.domains.gym import Config
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
}


CASES = [*ENVIRONMENT.items(), (RECURRENT, "CartPole-v1"), (RECURRENT, "ShortPendulum-v0")]


def algorithm_class(name):
    return pytest.importorskip("sb3_contrib").RecurrentPPO if name == RECURRENT else getattr(sb3, name)


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
