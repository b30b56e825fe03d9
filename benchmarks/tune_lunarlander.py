"""The search for `conf/tuned/lunarlander_<agent>.yaml`: the settings that solve LunarLander in the fewest seconds.

    python -m benchmarks.tune_lunarlander [--agent dqn] [--minutes 30] [--storage FILE]
    python -m benchmarks.tune_lunarlander --agent dqn --confirm 5 --storage FILE

A trial trains a few seeds, which are not reported elsewhere, until the greedy policy's mean over 60 episodes is above
210. Its value is the processor seconds of this process without checks. Other programs hardly change these, so several
searches can share a machine and a storage file. One process steps the copies. Optuna's TPE proposes settings; a trial
that is slower than the median after any of its seeds is stopped. `--confirm` trains the best settings of a storage file
on more seeds and prints the mean and the worst.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SEEDS = (9001, 9002, 9003)
CONFIRMING = tuple(range(9101, 9109))
CHECK_EVERY, EPISODES, ENOUGH = 8_192, 60, 210.0
HOPELESS = 2.5  # times the best trial's mean, at which a seed is stopped
PROMISING = 50.0  # the mean training return below which nothing is checked


@dataclass(frozen=True)
class Search:
    """What is searched for one agent.

    Attributes:
        settings: the keys of `agent` that a trial sets.
        first_parameters: parameters of the first trial.
        total_steps: env steps at which schedules end, and the most of a seed.
        unsolved_s: the most seconds of a seed; also the value of a seed that fails, and of the seeds after it.
    """

    settings: Callable[[Any], dict[str, Any]]
    first_parameters: dict[str, Any]
    total_steps: int
    unsolved_s: float


def of_ppo(trial: Any) -> dict[str, Any]:
    rollout = trial.suggest_categorical("rollout", [2048, 4096, 8192])
    n_envs = trial.suggest_categorical("n_envs", [32, 64, 128])
    return {
        "name": "ppo",
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


def of_a2c(trial: Any) -> dict[str, Any]:
    # Long rollouts of few copies: with short ones the critic learns that hovering is best, and A2C stays there.
    return {
        "name": "a2c",
        "optimizer": "adam",
        "n_envs": trial.suggest_categorical("n_envs", [4, 8, 16]),
        "n_steps": trial.suggest_categorical("n_steps", [32, 64, 128]),
        "lr": trial.suggest_float("lr", 2e-3, 1.2e-2, log=True),
        "lr_schedule": trial.suggest_categorical("lr_schedule", ["linear", "constant"]),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 5e-4, 5e-3, log=True),
        "gae_lambda": trial.suggest_categorical("gae_lambda", [0.96, 0.98, 0.99, 1.0]),
        "ent_coef": trial.suggest_categorical("ent_coef", [0.003, 0.01, 0.02, 0.04]),
        "vf_coef": trial.suggest_categorical("vf_coef", [0.25, 0.5, 1.0]),
        "max_grad_norm": trial.suggest_categorical("max_grad_norm", [0.5, 1.0, 2.0]),
        "normalize_advantage": True,
        "normalize_reward": True,
        "network": {"widths": [trial.suggest_categorical("width", [64, 128])] * 2, "activation": "relu"},
    }


def of_dqn(trial: Any) -> dict[str, Any]:
    target = trial.suggest_categorical("target", ["soft", "hard"])
    # The time scale of the target network in gradient steps, for both ways of updating it.
    follows = trial.suggest_float("follows", 15.0, 600.0, log=True)
    return {
        "name": "dqn",
        "lr": trial.suggest_float("lr", 3e-4, 3e-3, log=True),
        "lr_schedule": trial.suggest_categorical("lr_schedule", ["linear", "constant"]),
        "n_envs": trial.suggest_categorical("n_envs", [4, 8, 16, 32]),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 1e-3, 1e-2, log=True),
        "double": trial.suggest_categorical("double", [True, False]),
        "dueling": trial.suggest_categorical("dueling", [False, True]),
        "n_step": trial.suggest_int("n_step", 1, 8),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256, 512]),
        "learning_starts": trial.suggest_categorical("learning_starts", [1000, 4000, 8000]),
        "train_every": trial.suggest_categorical("train_every", [1, 2, 4, 8]),
        "updates_per_step": trial.suggest_categorical("updates_per_step", [0.0625, 0.125, 0.25, 0.5]),
        "target": target,
        **({"tau": 1.0 / follows} if target == "soft" else {"target_every": round(follows)}),
        "exploration_fraction": trial.suggest_float("exploration_fraction", 0.02, 0.4, log=True),
        "epsilon_end": trial.suggest_categorical("epsilon_end", [0.01, 0.02, 0.05, 0.1]),
        "normalize_reward": trial.suggest_categorical("normalize_reward", [True, False]),
        "network": {"widths": [trial.suggest_categorical("width", [64, 128, 256])] * 2, "activation": "relu"},
    }


SEARCHES = {
    "ppo": Search(
        of_ppo,
        {"rollout": 4096, "n_envs": 64, "batch_size": 512, "n_epochs": 8, "lr": 2e-3, "one_minus_gamma": 5e-3,
         "gae_lambda": 0.97, "ent_coef": 0.0, "vf_coef": 0.5, "clip_range": 0.2, "max_grad_norm": 0.5,
         "normalize_obs": False, "activation": "tanh"},
        total_steps=262_144,
        unsolved_s=20.0,
    ),
    "a2c": Search(
        of_a2c,
        {"n_envs": 8, "n_steps": 64, "lr": 8e-3, "lr_schedule": "linear", "one_minus_gamma": 2e-3, "gae_lambda": 0.99,
         "ent_coef": 0.02, "vf_coef": 0.5, "max_grad_norm": 0.5, "width": 64},
        total_steps=600_000,
        unsolved_s=60.0,
    ),
    "dqn": Search(
        of_dqn,
        {"lr": 1e-3, "lr_schedule": "linear", "n_envs": 16, "one_minus_gamma": 5e-3, "double": True, "dueling": False,
         "n_step": 5, "batch_size": 256, "learning_starts": 1000, "train_every": 4, "updates_per_step": 0.125,
         "target": "soft", "follows": 50.0, "exploration_fraction": 0.2, "epsilon_end": 0.01,
         "normalize_reward": True, "width": 128},
        total_steps=300_000,
        unsolved_s=45.0,
    ),
}  # fmt: skip


def missing(row: dict[str, Any]) -> float:
    """Seconds added for an unsolved seed; a low training return adds more, which gives the search a direction."""
    short = ENOUGH - row["episode_return_mean"]
    return min(max(short, 0.0), 500.0) / 10.0 if math.isfinite(short) else 50.0


def seconds(search: Search, values: dict[str, Any], seed: int, at_most: float = math.inf) -> tuple[float, int]:
    """Processor seconds of one seed until it is solved, and its env steps; it stops after `at_most` seconds."""
    from pydantic import TypeAdapter

    from agents import AGENTS
    from benchmarks.lunarlander import mean_unless_hopeless
    from rl_eval import domains, seeding
    from rl_eval.rollout import stream

    entry = AGENTS[values["name"]]
    config = TypeAdapter(entry.config).validate_python(values)
    env = domains.validate({"name": "lunarlander", "workers": 1})
    vector = domains.make(env, n_envs=config.n_envs, part="train")
    checks = domains.make(env, n_envs=20, part="validation", autoreset=False)
    generators = {name: seeding.generator(seed, name) for name in ("init", "policy", "minibatch")}
    agent = entry.build(config, vector, generators=generators, total_steps=search.total_steps, device="cpu")
    agent.start(seeding.episode_seeds(seed, config.n_envs, "train-env"))
    next_check = CHECK_EVERY
    start = time.process_time()
    at_most = min(at_most, search.unsolved_s)
    try:
        while agent.env_steps < search.total_steps and time.process_time() - start < at_most:
            row = agent.iterate()
            if agent.env_steps < next_check or not row["episode_return_mean"] > PROMISING:
                continue
            next_check = agent.env_steps + CHECK_EVERY
            paused = time.process_time()
            arrays, meta = agent.policy_checkpoint()
            seeds = seeding.episode_seeds(seed, EPISODES, "select")
            parts = stream(checks, entry.load_policy(arrays, meta), seeds=seeds)
            returns = (part.per_episode("native_reward") for part in parts)
            if mean_unless_hopeless(returns, EPISODES, ENOUGH) > ENOUGH:
                return paused - start, agent.env_steps
            start += time.process_time() - paused
        return search.unsolved_s + missing(row), agent.env_steps
    except FloatingPointError:
        return search.unsolved_s, agent.env_steps
    finally:
        vector.close()
        checks.close()


def objective(search: Search, trial: Any) -> float:
    """Mean seconds over the seeds."""
    import optuna

    values = search.settings(trial)
    trial.set_user_attr("settings", values)
    if values["name"] == "ppo" and values["batch_size"] > values["n_envs"] * values["n_steps"]:
        raise optuna.TrialPruned
    done = [t.value for t in trial.study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    at_most = HOPELESS * min(done, default=math.inf)
    spent: list[float] = []
    for index, seed in enumerate(SEEDS):
        spent_s, steps = seconds(search, values, seed, at_most)
        spent.append(spent_s)
        trial.set_user_attr(f"seed_{seed}", [round(spent_s, 2), steps])
        trial.report(sum(spent) / len(spent), index)
        if spent_s >= search.unsolved_s:
            return (sum(spent) + search.unsolved_s * (len(SEEDS) - len(spent))) / len(SEEDS)
        if trial.should_prune():
            raise optuna.TrialPruned
    return sum(spent) / len(spent)


def confirm(search: Search, values: dict[str, Any]) -> dict[str, Any]:
    """Seconds on seeds that the search did not use."""
    results = [seconds(search, values, seed) for seed in CONFIRMING]
    spent = sorted(spent_s for spent_s, _ in results)
    return {
        "settings": values,
        "mean": sum(spent) / len(spent),
        "median": spent[len(spent) // 2],
        "worst": spent[-1],
        "seeds": [[round(spent_s, 2), steps] for spent_s, steps in results],
    }


def main() -> None:
    import optuna
    import torch
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", choices=sorted(SEARCHES), default="ppo")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--storage", help="a journal file, shared by searches that run side by side")
    parser.add_argument("--sampler-seed", type=int, default=0)
    parser.add_argument("--confirm", type=int, default=0, help="how many of the best to train on more seeds instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    search = SEARCHES[args.agent]
    storage = None
    if args.storage:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        storage = JournalStorage(JournalFileBackend(args.storage))
    study = optuna.create_study(
        storage=storage,
        study_name=f"lunarlander_{args.agent}",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=args.sampler_seed, multivariate=True, constant_liar=True),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=8),
    )
    if not study.trials:
        study.enqueue_trial(search.first_parameters)
    if not args.confirm:
        study.optimize(lambda trial: objective(search, trial), timeout=60.0 * args.minutes)
    best = sorted((t for t in study.trials if t.state.name == "COMPLETE"), key=lambda t: t.value)[: args.confirm or 5]
    for trial in best:
        result = {"seconds": trial.value, **trial.user_attrs}
        if args.confirm:
            result = confirm(search, trial.user_attrs["settings"])
            print(f"  {result['mean']:.1f} (worst {result['worst']:.1f})", file=sys.stderr, flush=True)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
