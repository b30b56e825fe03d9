"""Peak memory of LunarLander training: ours, with its worker process, and Stable-Baselines3's.

    python -m benchmarks.memory [--steps N] [--rounds R] [--json]

The figure is the sum of the peak resident sizes of all processes (`VmHWM`, Linux) in MB. Pages that two processes
share count twice, so it is an upper bound. Ours is `python train.py env=lunarlander env.workers=2` from start to end,
judging included; the peer is PPO with the settings of its Zoo, without an evaluation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results
from benchmarks.our_training import ROOT

POLL_S = 0.02  # the peak of a process is kept until it ends, so only its last moments can be missed


def peak_mb(command: Sequence[str]) -> float:
    """The sum of the peaks of all processes that a command starts."""
    peaks: dict[int, float] = {}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for pid in tree(process.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), _peak_mb_of(pid))
            time.sleep(POLL_S)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with status {process.returncode}")
    return sum(peaks.values())


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    pids = [pid]
    for parent in pids:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                pids += [int(child) for child in children.read_text().split()]
            except OSError:  # it has just ended
                continue
    return pids


def _peak_mb_of(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    peaks_kib = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    return peaks_kib[0] / 1e3 * 1.024 if peaks_kib else 0.0  # a zombie has none


def train_peer(steps: int) -> None:
    """Stable-Baselines3 in this process."""
    from benchmarks.peer_models import peer_model

    peer_model("ppo").learn(steps)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("peer",), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.side:
        train_peer(args.steps)
        return

    def ours() -> float:
        with tempfile.TemporaryDirectory() as folder:
            settings = ["env=lunarlander", "env.workers=2", f"total_steps={args.steps}", f"hydra.run.dir={folder}/run"]
            return peak_mb([sys.executable, "train.py", *settings])

    def peer() -> float:
        return peak_mb([sys.executable, "-m", "benchmarks.memory", "--side", "peer", "--steps", str(args.steps)])

    results = {
        "peak MB": compare(
            in_turn({"ours": ours, "stable-baselines3": peer}, args.rounds), "ours", "stable-baselines3", less=True
        )
    }
    if args.json:
        print(as_json("memory", {"steps": args.steps, **results}))
        return
    print(f"peak memory of LunarLander training, {args.steps:,} env steps; {machine()}")
    print_results(results)


if __name__ == "__main__":
    main()
