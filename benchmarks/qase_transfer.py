"""Does a new project order better from another project's policy? `python -m benchmarks.qase_transfer`.

The parent is trained on the embedded project. The new projects are other generated ones of 10 to 300 cycles. Each is
ordered by the failure-rate sort, by the default agent trained on it from scratch, by the parent as it is, and by
`init=PARENT` tuned on it. Printed is the mean APFD on the test cycles, over projects.
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
    parser.add_argument("--projects", type=int, default=5)
    parser.add_argument("--cycles", type=int, nargs="+", default=[10, 20, 40, 80, 300])
    arguments = parser.parse_args()
    print("cycles    sort  scratch  parent  init=parent   trained policy judged: scratch, init", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        parent = learn(Path(folder) / "parent")
        for cycles in arguments.cycles:
            rows, tuned = [], np.zeros(2, int)
            for seed in range(1, arguments.projects + 1):
                own = history(cycles, True, seed)
                scratch = learn(Path(folder) / f"scratch_{cycles}_{seed}", *own)
                init = learn(Path(folder) / f"init_{cycles}_{seed}", *own, f"init={parent.path}")
                scores = compare(scratch), compare(scratch, parent), compare(init)
                rows.append([scores[0].sort.mean(), *(score.agent.mean() for score in scores)])
                tuned += [run.info["trials"]["judged"] == "the trained policy" for run in (scratch, init)]
            sort, from_scratch, as_it_is, from_parent = np.mean(rows, axis=0)
            print(
                f"{cycles:>6}  {sort:.4f}   {from_scratch:.4f}  {as_it_is:.4f}       {from_parent:.4f}   "
                f"{tuned[0]} and {tuned[1]} of {arguments.projects}",
                flush=True,
            )


if __name__ == "__main__":
    main()
