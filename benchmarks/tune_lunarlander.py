"""The search that found `conf/tuned/lunarlander_ppo.yaml`: PPO's settings by seconds until LunarLander is solved.

    python -m benchmarks.tune_lunarlander --minutes 30 [--storage FILE]

A trial trains a few seeds, none of them reported anywhere else, until the greedy policy's mean over 60 episodes
passes 210, and is charged what its env steps, vector steps and minibatches cost, by the rates below: a count is
the same on a busy machine, so that several searches can share one and a storage file. Optuna's TPE proposes; a
trial that is slower than the median after any of its seeds is given up.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

# Seconds on two cores: an env step of EnvPool's, what a step of all copies costs beside that, and a minibatch of B
# rows through two networks of 64 and 64 units, which is about MINIBATCH_S + B * ROW_S.
ENV_STEP_S, VECTOR_STEP_S, MINIBATCH_S, ROW_S = 9e-6, 90e-6, 60e-6, 1.05e-6
BUDGET = 262_144  # env steps
UNSOLVED_S = 20.0  # charged to a seed that does not get there, and to those after it
SEEDS = (9001, 9002, 9003, 9004)
CHECK_EVERY, EPISODES, ENOUGH = 8_192, 60, 210.0

BEGIN_WITH = {"rollout": 4096, "n_envs": 64, "batch_size": 512, "n_epochs": 8, "lr": 2e-3, "one_minus_gamma": 5e-3,
              "gae_lambda": 0.97, "ent_coef": 0.0, "vf_coef": 0.5, "clip_range": 0.2, "max_grad_norm": 0.5,
              "normalize_obs": False, "activation": "tanh"}  # fmt: skip


def settings(trial: Any) -> dict[str, Any]:
    """What one trial tries, as keys of `agent`."""
    rollout = trial.suggest_categorical("rollout", [2048, 4096, 8192])
    n_envs = trial.suggest_categorical("n_envs", [32, 64, 128])
    return {
        "n_envs": n_envs,
        "n_steps": rollout // n_envs,
        "batch_size": trial.suggest_categorical("batch_size", [256, 512, 1024]),
        "n_epochs": trial.suggest_int("n_epochs", 3, 14),
        "lr": trial.suggest_float("lr", 7e-4, 8e-3, log=True),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 1e-3, 2e-2, log=True),
        "gae_lambda": trial.suggest_float("gae_lambda", 0.9, 0.99),
        "ent_coef": trial.suggest_categorical("ent_coef", [0.0, 0.003, 0.01]),
        "vf_coef": trial.suggest_categorical("vf_coef", [0.25, 0.5, 1.0]),
        "clip_range": trial.suggest_float("clip_range", 0.1, 0.35),
        "max_grad_norm": trial.suggest_categorical("max_grad_norm", [0.5, 1.0, 2.0]),
        "normalize_reward": True,
        "normalize_obs": trial.suggest_categorical("normalize_obs", [False, True]),
        "network": {"activation": trial.suggest_categorical("activation", ["tanh", "relu"])},
    }


def seconds(values: dict[str, Any], seed: int) -> tuple[float, int]:
    """What one seed is charged until it is solved, and its env steps."""
    import numpy as np
    from pydantic import TypeAdapter

    from agents.config import PPOConfig
    from rl_eval import envs, seeding
    from rl_eval.rollout import play
    from rl_eval.target import resolve

    config = TypeAdapter(PPOConfig).validate_python(values)
    env = envs.validate({"name": "lunarlander", "workers": 1})
    vector = envs.make(env, n_envs=config.n_envs, part="train")
    checks = envs.make(env, n_envs=20, part="select", autoreset=False)
    generators = {name: seeding.generator(seed, name) for name in ("init", "policy", "minibatch")}
    agent = config.build(vector, generators=generators, total_steps=BUDGET, device="cpu")
    agent.start(seeding.episode_seeds(seed, config.n_envs, "train-env"))
    next_check = CHECK_EVERY
    charged = 0.0
    try:
        while agent.env_steps < BUDGET:
            before = agent.gradient_steps
            row = agent.iterate()
            rows = agent.steps_per_iteration * config.n_epochs
            charged += agent.steps_per_iteration * ENV_STEP_S + config.n_steps * VECTOR_STEP_S
            charged += (agent.gradient_steps - before) * MINIBATCH_S + rows * ROW_S
            if agent.env_steps < next_check or not row["episode_return_mean"] > 80.0:
                continue
            next_check = agent.env_steps + CHECK_EVERY
            arrays, meta = agent.policy_checkpoint()
            seeds = seeding.episode_seeds(seed, EPISODES, "select")
            episodes = play(checks, resolve(meta["_target_"])(arrays, meta), seeds=seeds)
            returns = np.bincount(episodes.episode, weights=episodes.outcome["native_reward"])
            if returns.mean() > ENOUGH:
                return charged, agent.env_steps
        return UNSOLVED_S, agent.env_steps
    except FloatingPointError:
        return UNSOLVED_S, agent.env_steps
    finally:
        vector.close()
        checks.close()


def objective(trial: Any) -> float:
    """Mean seconds over the seeds."""
    import optuna

    values = settings(trial)
    if values["batch_size"] > values["n_envs"] * values["n_steps"]:
        raise optuna.TrialPruned
    spent: list[float] = []
    for index, seed in enumerate(SEEDS):
        charged, steps = seconds(values, seed)
        spent.append(charged)
        trial.set_user_attr(f"seed_{seed}", [round(charged, 2), steps])
        trial.report(sum(spent) / len(spent), index)
        if charged >= UNSOLVED_S:
            return (sum(spent) + UNSOLVED_S * (len(SEEDS) - len(spent))) / len(SEEDS)
        if trial.should_prune():
            raise optuna.TrialPruned
    return sum(spent) / len(spent)


def main() -> None:
    import optuna
    import torch
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--storage", help="a journal file, shared by searches that run side by side")
    parser.add_argument("--sampler-seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    storage = None
    if given.storage:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        storage = JournalStorage(JournalFileBackend(given.storage))
    study = optuna.create_study(
        storage=storage,
        study_name="lunarlander_ppo",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=given.sampler_seed, multivariate=True, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8),
    )
    if not study.trials:
        study.enqueue_trial(BEGIN_WITH)
    study.optimize(objective, timeout=60.0 * given.minutes)
    best = sorted((t for t in study.trials if t.state.name == "COMPLETE"), key=lambda t: t.value)[:5]
    print(json.dumps([{"seconds": t.value, **t.params, **t.user_attrs} for t in best], indent=2))


if __name__ == "__main__":
    main()
