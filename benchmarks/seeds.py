"""Wall seconds of many seeds: 8 of threat in one command (`-m seed=…`), and 8 runs one after the other.

    python -m benchmarks.seeds [--env threat] [--agent ppo] [--seeds 8] [--rounds R] [--overrides …] [--json]

The time of the complete commands, judging included: the sweep with `hardware=parallel` (one process per core), with
`hardware=seeds` (in one process, in step), one job after another in one process, and single runs. It also prints how
the time of a job is spent: `learning` and `validation` are those of `run.json`; `rest` is the other time of the command
per job (imports, data, judging, files).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results, spread
from benchmarks.our_training import ROOT


def train(folder: str, *arguments: str) -> None:
    """Run one command in a folder, which gets the ledger; raises if it fails. Jobs and single runs judge alike."""
    command = [sys.executable, str(ROOT / "train.py"), "judge=test", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def shares(folder: Path, seconds: float, at_once: int) -> dict[str, float]:
    """How the time of a command was spent, in seconds per job.

    Args:
        folder: holds the runs.
        at_once: the number of parallel jobs.
    """
    from rl_eval.run import read_run

    infos: list[Any] = [read_run(file.parent).info for file in sorted(folder.rglob("run.json"))]
    learning = sum(info["wall_s"] - info["validation_s"] for info in infos) / len(infos)
    validation = sum(info["validation_s"] for info in infos) / len(infos)
    total = seconds * at_once / len(infos)
    return {"learning": learning, "validation": validation, "rest": total - learning - validation}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="threat")
    parser.add_argument("--agent", default="ppo")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--overrides", nargs="*", default=[], help="of every run, such as total_steps=100000")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    seeds = list(range(1, args.seeds + 1))
    seeds_override = "seed=" + ",".join(str(seed) for seed in seeds)
    parts: dict[str, list[dict[str, float]]] = {}

    def timed(name: str, commands: Sequence[Sequence[str]], at_once: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            for number, arguments in enumerate(commands):
                where = "sweep" if "-m" in arguments else "run"
                groups = f"env={args.env}", f"agent={args.agent}"
                train(folder, *groups, *arguments, *args.overrides, f"hydra.{where}.dir={folder}/{number}")
            seconds = time.perf_counter() - start
            parts.setdefault(name, []).append(shares(Path(folder), seconds, at_once))
        return seconds

    cores = machine(())["cores"]
    sides = {
        "parallel sweep": lambda: timed("parallel sweep", [["-m", seeds_override, "hardware=parallel"]], cores),
        "seeds in step": lambda: timed("seeds in step", [["-m", seeds_override, "hardware=seeds"]], 1),
        "sweep": lambda: timed("sweep", [["-m", seeds_override]], 1),
        "single runs": lambda: timed("single runs", [[f"seed={seed}"] for seed in seeds], 1),
    }
    figures = in_turn(sides, args.rounds)
    results = {name: compare(figures, name, "single runs", less=True) for name in sides if name != "single runs"}
    jobs = {
        f"per job, {name}": {part: spread([seconds[part] for seconds in rounds]) for part in rounds[0]}
        for name, rounds in parts.items()
    }
    if args.json:
        print(as_json("seeds", {"seeds": args.seeds, **results, **jobs}))
        return
    print(f"wall seconds of {args.seeds} seeds of {args.env} with {args.agent}; {machine()}")
    print_results(results | jobs)


if __name__ == "__main__":
    main()
