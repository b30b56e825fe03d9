"""How much sooner a gate ends when two workers play its episodes: two compared with one, and one process without any.

    python -m benchmarks.gate_workers [--run RUN] [--episodes 400] [--engine ray|processes] [--rounds R] [--json]

Every side judges the same LunarLander episodes by the same suite, and all verdicts must be equal. Workers are started
and have loaded the policy before anything is timed; Ray has two CPUs. With one worker a call takes both of them, so
that no other runs at the same time. Without --run a policy is trained for 150,000 env steps first, which hovers: its
episodes are long.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results
from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.launchers import Launcher, launcher_plugin

ROOT = Path(__file__).resolve().parents[1]
SUITE = """
rl_eval: 1
env: lunarlander
episodes: {{fixed: {episodes}}}
leaks: report
controls: []
criteria:
  mean_return: {{metric: mean_return, at_least: 0, by: estimate}}
"""


def train_run(folder: str) -> Path:
    """Train a run that is good enough to stay in the air."""
    short = ["total_steps=150000", "validation.every=75000", "judge=off", f"hydra.run.dir={folder}/run"]
    command = [sys.executable, str(ROOT / "train.py"), "env=lunarlander", *short]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Path(folder) / "run"


def launchers(engine: str) -> tuple[Any, Any]:
    """A launcher with one worker and one with two."""
    plugin = launcher_plugin(engine)
    two = plugin.start(plugin.settings(count=2))
    if engine == "processes":
        return plugin.start(plugin.settings(count=1)), two
    one = copy.copy(two)
    one.slots, one._options = 1, {**two._options, "num_cpus": 2}
    return one, two


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run")
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--engine", choices=("ray", "processes"), default="ray")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(args.run) if args.run else train_run(folder)
        file = Path(folder) / "lander.yaml"
        file.write_text(SUITE.format(episodes=args.episodes))
        suite = load_suite(file)
        verdicts = []

        def seconds(workers: Launcher | None) -> float:
            start = time.perf_counter()
            verdicts.append(evaluate_suite(suite, named_runs(suite, [run]), workers=workers).to_json())
            return time.perf_counter() - start

        one, two = launchers(args.engine)
        try:
            for workers in (one, two):  # the policy is loaded, on every worker
                seconds(workers)
            sides = {
                "two workers": lambda: seconds(two),
                "one worker": lambda: seconds(one),
                "no workers": lambda: seconds(None),
            }
            figures = in_turn(sides, args.rounds)
        finally:
            one.close()
            two.close()
    if any(verdict != verdicts[0] for verdict in verdicts):
        raise SystemExit("the verdicts differ")
    results = {name: compare(figures, "two workers", name, less=True) for name in ("one worker", "no workers")}
    if args.json:
        print(as_json("gate_workers", {**results, "engine": args.engine}))
        return
    print(f"seconds that a gate of {args.episodes} episodes takes, on {args.engine}; all verdicts equal; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
