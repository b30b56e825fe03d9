"""Threat triage: env steps per second, time to a good F1, and the cost of decisions against supervised learning.

    python -m benchmarks.threat [--data DIR] [--rounds R] [--overrides …] [--json]

On the embedded data, and on NSL-KDD where `--data` (default ../shared/data) holds `nsl-kdd/`:

- **stepping**: env steps per second of 4,096 copies without an agent; the actions are drawn beforehand.
- **training**: env steps per second of `python train.py agent=ppo env=threat` with its defaults, from its first
  iteration to its last. Metric rows, snapshots and resume points count; scoring on the validation part is off.
- **reach** (NSL-KDD): seconds from the start of the process until the F1 of the greedy policy on the validation part is
  at least .995. Time spent on checks does not count.
- **cost**: cost per flow on the validation part, of the policy at the end of training and of the same network fitted to
  labels with the same cost matrix, in both ways of `benchmarks.supervised`. Each round is a seed, each side a process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results, process, spread
from benchmarks.training_clock import TrainingClock

COPIES, STEPPING_S = 4096, 2.0
REACH_F1, EVERY = 0.995, 8_192
PEERS = ("cross_entropy", "expected_cost")


def scores(act: Callable[..., np.ndarray], part: Any, env: Any) -> dict[str, float]:
    """F1 and cost per flow of a greedy policy on every flow of a part."""
    actions = np.asarray(act(part.features, True))
    flagged, threat = np.isin(actions, env.flag_actions), part.label == 1
    hits = float((flagged & threat).sum())
    costs = np.asarray(env.costs)
    return {"f1": 2 * hits / float(flagged.sum() + threat.sum()), "cost": float(costs[part.label, actions].mean())}


def stepping(overrides: Sequence[str]) -> dict[str, float]:
    """Env steps per second without an agent."""
    from benchmarks.our_training import config_of
    from rl_eval import domains

    vector = domains.make(config_of(overrides).env, n_envs=COPIES, part="train")
    vector.reset(seed=list(range(COPIES)))
    rng = np.random.default_rng(0)
    actions = [rng.integers(0, 4, COPIES) for _ in range(16)]
    for action in actions:
        vector.step(action)
    start, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < STEPPING_S:
        for action in actions:
            vector.step(action)
        steps += COPIES * len(actions)
    return {"steps_per_s": steps / spent}


def ours(overrides: Sequence[str], started_at: float) -> dict[str, Any]:
    """Train to the end as `train.py` does."""
    from benchmarks.our_training import config_of, policy_of, training_of
    from rl_eval.domains.threat.data import load_dataset

    config = config_of(overrides)
    part = load_dataset(config.env).parts["validation"]

    def check(policy: Any, before: int) -> tuple[float, bool]:
        f1 = scores(policy.act, part, config.env)["f1"]
        return f1, f1 >= REACH_F1

    clock = TrainingClock(started_at, EVERY, check)
    with tempfile.TemporaryDirectory() as folder:
        training = training_of(
            config, Path(folder), lambda env_steps, *_: clock.after_update(env_steps, lambda: policy_of(training))
        )
        started = time.perf_counter()
        training.learn(lambda: False)
        spent = time.perf_counter() - started - clock.checking_s
        return {
            "steps_per_s": training.agent.env_steps / spent,
            "seconds": time.perf_counter() - started_at - clock.checking_s,
            "reach": clock.results(),
            **scores(policy_of(training).act, part, config.env),
        }


def peer(overrides: Sequence[str], objective: str, started_at: float) -> dict[str, float]:
    """Fit a supervised peer to as many flows as the agent's updates use."""
    from benchmarks.our_training import config_of
    from benchmarks.supervised import fit
    from rl_eval.domains.threat.data import load_dataset

    config = config_of(overrides)
    parts, agent = load_dataset(config.env).parts, config.agent
    flows, train = config.total_steps * agent.n_epochs, parts["train"]
    costs = np.asarray(config.env.costs)
    fitted = fit(train.features, train.label, costs, objective, agent, flows, config.seed)
    return {"seconds": time.perf_counter() - started_at, **scores(fitted.act, parts["validation"], config.env)}


def side(args: argparse.Namespace) -> dict[str, Any]:
    """One side of one round, in this process."""
    overrides = ["agent=ppo", "env=threat", *args.overrides]
    if args.side == "stepping":
        return stepping(overrides)
    if args.side == "ours":
        return ours(overrides, args.started_at)
    return peer(overrides, args.side, args.started_at)


def measure(overrides: Sequence[str], rounds: int) -> dict[str, Any]:
    """All results on one data set."""
    raw: dict[str, list[dict[str, Any]]] = {name: [] for name in ("stepping", "ours", *PEERS)}

    def run_side(name: str) -> float:
        seed = len(raw[name]) + 1
        raw[name].append(process("benchmarks.threat", "--side", name, "--overrides", *overrides, f"seed={seed}"))
        return raw[name][-1].get("cost", float("nan"))

    in_turn({name: lambda name=name: run_side(name) for name in raw}, rounds)
    figures = {name: [result["cost"] for result in raw[name]] for name in ("ours", *PEERS)}
    better = min(PEERS, key=lambda name: spread(figures[name])["median"])
    return {
        "rates": {
            "stepping": spread([result["steps_per_s"] for result in raw["stepping"]]),
            "training": spread([result["steps_per_s"] for result in raw["ours"]]),
        },
        "seconds, process": {name: spread([result["seconds"] for result in raw[name]]) for name in ("ours", *PEERS)},
        "to F1 .995": {
            "seconds": spread([_or_never(result["reach"]["seconds"]) for result in raw["ours"]]),
            "env steps": spread([result["reach"]["env_steps"] for result in raw["ours"]]),
        },
        "f1": {name: spread([result["f1"] for result in raw[name]]) for name in ("ours", *PEERS)},
        **{f"cost, {name}": compare(figures, "ours", name, less=True) for name in PEERS},
        "better peer": better,
        "compared with the better peer": spread(figures["ours"])["median"] / spread(figures[better])["median"] - 1,
        "raw": raw,
    }


def _or_never(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data", help="folder that holds nsl-kdd/")
    parser.add_argument("--only", choices=("embedded", "nsl_kdd"))
    parser.add_argument("--rounds", type=int, default=3, help="one seed per round")
    parser.add_argument("--overrides", nargs="*", default=[], help="of training, such as lr=1e-3")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("stepping", "ours", *PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--started-at", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.side:
        print(json.dumps(side(args)))
        return
    sources = {"embedded": []}
    folder = Path(args.data).resolve() / "nsl-kdd"
    if folder.is_dir():
        sources["nsl_kdd"] = ["env.data=nsl_kdd", f"env.path={folder}"]
    else:
        print(
            f"no NSL-KDD results: {folder} does not exist; give the folder that holds nsl-kdd/ as --data",
            file=sys.stderr,
        )
    results = {
        name: measure([*overrides, *args.overrides], args.rounds)
        for name, overrides in sources.items()
        if args.only in (None, name)
    }
    if args.json:
        print(as_json("threat", results))
        return
    print(f"threat triage; {machine()}")
    for name, figures in results.items():
        print(f" {name}")
        print_results(
            {heading: rows for heading, rows in figures.items() if isinstance(rows, dict) and heading != "raw"}
        )
        difference = figures["compared with the better peer"]
        print(f"  cost compared with the better peer's ({figures['better peer']}): {difference:+.1%}")


if __name__ == "__main__":
    main()
