"""Wall seconds of `train.py --help` and `pytest suites/ --collect-only`, and of bare imports for scale.

    python -m benchmarks.startup [--rounds R] [--json]

The commands run in turn. `import stable_baselines3` and `import torch` are what a command takes at least that loads
them before it answers. For a command over its limit, the slowest imports are printed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.interleave import as_json, compare, in_turn, machine, print_results
from benchmarks.our_training import ROOT

COMMANDS = {
    "train.py --help": ["train.py", "--help"],
    "pytest --collect-only": ["-m", "pytest", "suites/", "--collect-only", "-q"],
    "import stable_baselines3": ["-c", "import stable_baselines3"],
    "import torch": ["-c", "import torch"],
}
LIMITS_S = {"train.py --help": 0.8, "pytest --collect-only": 1.5}
SLOWEST_COUNT = 12


def seconds(arguments: Sequence[str]) -> float:
    """Wall seconds of one command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def slowest_imports(importtime: str, count: int = SLOWEST_COUNT) -> list[tuple[float, str]]:
    """Seconds and names of the slowest modules, with all that they import, from the output of `-X importtime`."""
    matches = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \|\s*(\S+)$", importtime, re.MULTILINE)
    return sorted(((int(microseconds) / 1e6, name) for microseconds, name in matches), reverse=True)[:count]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    for arguments in COMMANDS.values():
        seconds(arguments)  # compiles the modules and fills the disk cache
    figures = in_turn({name: lambda a=a: seconds(a) for name, a in COMMANDS.items()}, args.rounds)
    results = {
        f"{ours}": compare(figures, ours, peer, less=True)
        for ours, peer in (("train.py --help", "import torch"), ("pytest --collect-only", "import stable_baselines3"))
    }
    if args.json:
        print(as_json("startup", {"limits_s": LIMITS_S, **results}))
        return
    print(f"wall seconds of the process; {machine()}")
    print_results(results)
    for name, limit in LIMITS_S.items():
        median = results[name][name]["median"]
        print(f"  {name}: {median:.2f} s, {'within' if median <= limit else 'over'} its limit of {limit} s")
        if median > limit:
            command = [sys.executable, "-X", "importtime", *COMMANDS[name]]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            for spent, module in slowest_imports(done.stderr):
                print(f"    {spent:.3f} s  {module}")


if __name__ == "__main__":
    main()
