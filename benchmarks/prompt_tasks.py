"""Does what is learned on prompts of some tasks help on another task? Each task of a folder is left out in turn.

    rl-eval prompt score --model FEEDBACK.gguf --tasks DIR --items 20 --out SCORES     # and once more for the judge
    python -m benchmarks.prompt_tasks --tasks DIR --scores SCORES --items 20 [--seeds 1] [--json]

PPO with its preset trains on all other tasks except one, which chooses the snapshot. Policies play the start prompts of
the task that was left out. Gains are in nats of the judge over the start prompt; the interval is Student's over tasks.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rl_eval import config as configs
from rl_eval import domains, hydra_compose, policy
from rl_eval.domains.prompt import Config
from rl_eval.domains.prompt.environment.dataset import load_reward_model
from rl_eval.domains.prompt.reward_model.correlation import student_interval
from rl_eval.rollout import play
from rl_eval.run import environment_of
from rl_eval.tracking import open_tracker
from rl_eval.training import train

ROOT = Path(__file__).resolve().parents[1]
DRAWS = 32  # episodes of random actions for each start prompt
POLICIES = ("random", "baseline:best_sequence", "baseline:greedy_reward_model", "baseline:optimal")


def left_out(names: Sequence[str], index: int) -> dict[str, list[str]]:
    """Which task tests, and which chooses the snapshot: the next one by name."""
    return {"test_tasks": [names[index]], "validation_tasks": [names[(index + 1) % len(names)]]}


def mean_gain(config: Config, spec: str, seed: int) -> float:
    """Mean judge gain of a policy over the start prompts of the test task, in nats."""
    count = domains.domain("prompt").episodes(config, "test")
    assert count is not None
    envs = domains.make(config, n_envs=count, part="test", autoreset=False)
    acting = policy.load(spec, policy.Spaces.of(config, envs), config, seed=seed)
    return float(play(envs, acting, seeds=range(count)).per_episode("judge_gain").mean())


def measure(overrides: Sequence[str], seeds: Sequence[int]) -> dict[str, float]:
    """The gains of PPO and of others on the test task of a config, and the reward model's rank correlation."""
    gains: dict[str, list[float]] = {}
    for seed in seeds:
        loaded = configs.load(hydra_compose.compose(ROOT / "conf", [*overrides, f"seed={seed}"]))
        with tempfile.TemporaryDirectory() as directory:
            tracker = open_tracker(loaded.tracker, run_dir=Path(directory), config={})
            run = train(loaded, Path(directory), tracker=tracker)
            env = environment_of(run)
            assert isinstance(env, Config)
            gains.setdefault("ppo", []).append(mean_gain(env, str(run.path), seed))
    gains |= {
        spec: [mean_gain(env, spec, seed) for seed in range(DRAWS if spec == "random" else 1)] for spec in POLICIES
    }
    means = {name: float(np.mean(values)) for name, values in gains.items()}
    return {**means, "reward_model_correlation": load_reward_model(env).correlation.estimate}


def summary(by_task: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float, float]]:
    """Mean over tasks and its interval: of each figure, and of PPO's lead over each other policy."""
    figures = {name: np.array([row[name] for row in by_task.values()]) for name in next(iter(by_task.values()))}
    leads = {f"ppo minus {name}": figures["ppo"] - figures[name] for name in POLICIES}
    return {name: student_interval(values) for name, values in {**figures, **leads}.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", required=True, help="folder of tasks")
    parser.add_argument("--scores", required=True, help="table with the scores of all their prompts by both models")
    parser.add_argument("--items", type=int, help="test items of each task at most")
    parser.add_argument("--feedback", default="smollm2", help="model of the table that the reward model learns from")
    parser.add_argument("--judge", default="gemma", help="model of the table that judges")
    parser.add_argument("--seeds", type=int, default=1, help="runs for each task")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    names = sorted(folder.name for folder in Path(args.tasks).iterdir() if (folder / "task.json").is_file())
    common = [
        "env=prompt", "agent=ppo", "tracker=none", "env.tasks=folder", f"env.path={args.tasks}",
        f"env.scores={args.scores}", f"env.items={args.items or 'null'}", f"env.feedback={args.feedback}",
        f"env.judge.model={args.judge}",
    ]  # fmt: skip
    by_task = {}
    for index, name in enumerate(names):
        parts = [f"env.{key}=[{','.join(tasks)}]" for key, tasks in left_out(names, index).items()]
        by_task[name] = measure([*common, *parts], range(1, args.seeds + 1))
    result = {"tasks": by_task, "mean": summary(by_task)}
    if args.json:
        print(json.dumps(result))
        return
    columns = list(next(iter(by_task.values())))
    print(f"{'left out':<20}" + "".join(f"{column.removeprefix('baseline:')[:18]:>20}" for column in columns))
    for name, row in by_task.items():
        print(f"{name:<20}" + "".join(f"{row[column]:>20.3f}" for column in columns))
    for name, (mean, low, high) in result["mean"].items():
        print(f"{name:<44} {mean:.3f}  (95 % interval {low:.3f} to {high:.3f}, {len(names)} tasks)")


if __name__ == "__main__":
    main()
