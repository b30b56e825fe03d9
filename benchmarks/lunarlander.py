"""Seconds until a policy lands: a mean return above 200 over 100 held-out greedy episodes of LunarLander-v3.

    python -m benchmarks.lunarlander [--agent ppo] [--seeds 10] [--peer-seeds 3] [--budget N] [--every N] [--json]

Ours is `python train.py env=lunarlander agent=ppo` (or `a2c`, `dqn`) with its defaults and its own training loop.
Scoring on the validation part is off, because the checks of the benchmark replace it. The peer is Stable-Baselines3's
agent of the same name with the settings of its Zoo, without rendering. Each seed is a process; the two sides run in
turn.

- The clock starts with the process, so imports count. It stops at the moment the good policy was ready. Time spent on
  checks does not count and is reported separately.
- Both sides play the same episodes of Gymnasium's own environment, after the first update at or after each multiple of
  `--every` env steps. The peer's policy changes every 16,384 env steps, so 8,192 checks all of its policies.
- A first mean above 200 must be confirmed on 400 new episodes, different ones each time; else training continues.
- A seed that has not landed after `--budget` env steps, or at the end of its training, counts as not reached. The
  peer's DQN and A2C train as long as in the Zoo, 100,000 and 200,000 env steps, because their schedules end there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.interleave import as_json, machine, process, show, spread
from benchmarks.training_clock import Check, TrainingClock

BAR, EPISODES, CONFIRMING = 200.0, 100, 400
MAX_RETURN = 330.0  # no episode returns more
COPIES = 50
HELD_OUT = 20_260_101  # the key of the benchmark's own seeds, which no run and no suite uses


def mean_unless_hopeless(returns: Any, total: int, bar: float = BAR) -> float:
    """The mean of `total` returns, or an upper bound of it as soon as the rest cannot lift it above the bar.

    Args:
        returns: arrays of consecutive returns, one after the other.
    """
    so_far, count = 0.0, 0
    for batch in returns:
        so_far, count = so_far + float(batch.sum()), count + len(batch)
        best = (so_far + (total - count) * MAX_RETURN) / total
        if best <= bar:
            return best
    return so_far / total


def checking() -> Check:
    """The check of a policy that both sides use."""
    from rl_eval import domains, seeding
    from rl_eval.rollout import stream

    # One process, also where training uses more: only one side would have a worker.
    config = domains.validate({"name": "lunarlander", "backend": "gymnasium", "workers": 1})
    vector = domains.make(config, n_envs=COPIES, part="test", autoreset=False)

    def mean(policy: Any, seeds: list[int]) -> float:
        parts = stream(vector, policy, seeds=seeds)
        return mean_unless_hopeless((part.per_episode("native_reward") for part in parts), len(seeds))

    def check(policy: Any, before: int) -> tuple[float, bool]:
        first = mean(policy, seeding.episode_seeds(HELD_OUT, EPISODES, "benchmark"))
        if first <= BAR:
            return first, False
        new_seeds = seeding.episode_seeds(HELD_OUT, CONFIRMING, "benchmark-confirming", first=CONFIRMING * before)
        confirmed = mean(policy, new_seeds)
        return confirmed, confirmed > BAR

    return check


def ours(clock: TrainingClock, agent: str, seed: int, budget: int, overrides: Sequence[str]) -> None:
    """Train as `train.py` does until the policy lands."""
    from benchmarks.our_training import config_of, policy_of, training_of

    config = config_of(["env=lunarlander", f"agent={agent}", f"seed={seed}", *overrides])
    keep_going = True

    def on_step(env_steps: int, *_: float) -> None:
        nonlocal keep_going
        keep_going = clock.after_update(env_steps, lambda: policy_of(training)) and env_steps < budget

    with tempfile.TemporaryDirectory() as folder:
        training = training_of(config, Path(folder), on_step)
        training.learn(lambda: not keep_going)


def peer(clock: TrainingClock, agent: str, seed: int, budget: int, threads: int) -> None:
    """Train with Stable-Baselines3 until the policy lands."""
    from benchmarks.peer_models import STEPS, after_updates, peer_model
    from rl_eval.policy import Spaces, StableBaselines3Policy

    model = peer_model(agent, seed=seed, threads=threads)
    spaces = Spaces("lunarlander", model.observation_space, model.action_space)
    acting = StableBaselines3Policy(model, None, f"sb3:{agent}:benchmark", spaces, seed)

    def do(env_steps: int) -> bool:
        return clock.after_update(env_steps, lambda: acting) and env_steps < budget

    # One more rollout: the callback gets a policy at the start of the rollout after its update.
    rollout = model.train_freq.frequency if agent == "dqn" else model.n_steps * model.n_envs
    model.learn(STEPS.get(agent, budget) + rollout, after_updates(do))


def side(args: argparse.Namespace) -> dict[str, Any]:
    """One seed of one side, in this process."""
    check: list[Check] = []

    def check_lazily(policy: Any, before: int) -> tuple[float, bool]:
        if not check:  # created at the first check, so its time does not count
            check.append(checking())
        return check[0](policy, before)

    clock = TrainingClock(args.started_at, args.every, check_lazily)
    if args.side == "ours":
        overrides = [f"env.backend={args.backend}"] if args.backend else []
        ours(clock, args.agent, args.seed, args.budget, [*overrides, *args.overrides])
    else:
        peer(clock, args.agent, args.seed, args.budget, args.peer_threads)
    return clock.results()


def summary(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Spreads of the seconds, and how many times longer the peer takes: between medians, and within rounds."""
    seconds = {
        name: [float("inf") if seed["seconds"] is None else seed["seconds"] for seed in seeds]
        for name, seeds in figures.items()
        if seeds
    }
    spreads: dict[str, Any] = {name: spread(values) for name, values in seconds.items()}
    if len(seconds) == 2:
        ours_s, peer_s = seconds.values()
        spreads["ratio of medians"] = _over(statistics.median(peer_s), statistics.median(ours_s))
        spreads["ratio"] = spread([_over(b, a) for a, b in zip(ours_s, peer_s, strict=False)])
    return spreads


def _over(peer_s: float, ours_s: float) -> float:
    return 0.0 if ours_s == float("inf") else peer_s / ours_s


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", choices=("ppo", "a2c", "dqn"), default="ppo")
    parser.add_argument("--seeds", type=int, default=10, help="of ours")
    parser.add_argument("--peer-seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--budget", type=int, default=1_000_000, help="env steps")
    parser.add_argument("--every", type=int, default=8_192, help="env steps between checks")
    parser.add_argument("--backend", choices=("auto", "gymnasium", "envpool"), help="of ours; default: as conf/ says")
    parser.add_argument("--peer-threads", type=int, default=1, help="torch threads; one is its fastest")
    parser.add_argument("--overrides", nargs="*", default=[], help="of ours, such as lr=1e-3")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("ours", "peer"), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--started-at", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.side:
        print(json.dumps(side(args)))
        return
    shared_arguments = ["--agent", args.agent, "--budget", str(args.budget), "--every", str(args.every)]
    shared_arguments += ["--peer-threads", str(args.peer_threads)]
    shared_arguments += ["--backend", args.backend] if args.backend else []
    shared_arguments += ["--overrides", *args.overrides] if args.overrides else []
    figures: dict[str, list[dict[str, Any]]] = {"ours": [], "stable-baselines3": []}
    for turn in range(max(args.seeds, args.peer_seeds)):
        for name, count in (("ours", args.seeds), ("stable-baselines3", args.peer_seeds)):
            if turn >= count:
                continue
            seed = args.first_seed + turn
            side_name = "ours" if name == "ours" else "peer"
            figures[name].append({"seed": seed} | process(
                "benchmarks.lunarlander", "--side", side_name, "--seed", str(seed), *shared_arguments
            ))  # fmt: skip
            print(f"  {_line(name, figures[name][-1])}", file=sys.stderr, flush=True)
    results = summary(figures)
    if args.json:
        print(as_json("lunarlander", {"agent": args.agent, "seconds": results, "seeds": figures}))
        return
    print(f"seconds to a mean return above {BAR:.0f}, LunarLander-v3, {args.agent}; {machine()}")
    for name, seeds in figures.items():
        for seed_results in seeds:
            print(f"  {_line(name, seed_results)}")
    for name, figure in results.items():
        values = figure if isinstance(figure, dict) else {"": figure}
        print(f"  {name:<22} " + ", ".join(f"{k} {show(v)}".strip() for k, v in values.items()))


def _line(name: str, seed: Mapping[str, Any]) -> str:
    reached = "not reached" if seed["seconds"] is None else f"{seed['seconds']:.2f} s"
    return (
        f"{name:<18} seed {seed['seed']:<3} {reached:>12}  {seed['env_steps']:>9,} env steps  "
        f"mean {seed['score']:.1f}  ({seed['checks']} checks, {seed['checking_s']:.1f} s)"
    )


if __name__ == "__main__":
    main()
