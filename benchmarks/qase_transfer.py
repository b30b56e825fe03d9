"""Does a new project order better from another project's policy? `python -m benchmarks.qase_transfer`.

Protocol: the parent is trained on the embedded project (1,200 cycles). The new projects are other generated ones, with
other cases, components that change and drift. On each, the default agent is trained from scratch, and with
`init=PARENT`. Both, the parent as it is, and the failure-rate sort order all test cycles. It prints the mean APFD of
each over the projects, and the deviation of its lead over the sort.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.qase_histories import compare, history, learn


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--projects", type=int, default=3)
    parser.add_argument("--cycles", type=int, nargs="+", default=[10, 20, 40, 80])
    arguments = parser.parse_args()
    print("cycles    sort          scratch           parent      init=parent   judged as trained: scratch, init")
    with tempfile.TemporaryDirectory() as folder:
        parent = learn(Path(folder) / "parent")
        for cycles in arguments.cycles:
            rows, trained = [], np.zeros(2, int)
            for seed in range(1, arguments.projects + 1):
                own = history(cycles, True, seed)
                scratch = learn(Path(folder) / f"scratch_{cycles}_{seed}", *own)
                init = learn(Path(folder) / f"init_{cycles}_{seed}", *own, f"init={parent.path}")
                scores = compare(scratch), compare(scratch, parent), compare(init)
                rows.append([scores[0].sort.mean(), *(score.difference for score in scores)])
                trained += [run.info["trials"]["judged"] == "the trained policy" for run in (scratch, init)]
            mean, deviation = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
            leads = "  ".join(f"{mean[0] + mean[i]:.4f} ({mean[i]:+.3f} ± {deviation[i]:.3f})" for i in (1, 2, 3))
            print(
                f"{cycles:>6}  {mean[0]:.4f}  {leads}  {trained[0]} and {trained[1]} of {arguments.projects}",
                flush=True,
            )


if __name__ == "__main__":
    main()
