"""Does a new project learn faster from another project's run? `python -m benchmarks.transfer`.

A run on the embedded threat data is the parent. The new project has other flows, three times as many threats, and
other costs. Each seed trains on it from scratch and from `init=PARENT` until the operational cost on the validation
part is at most the bar. It prints how many env steps that took; a run that does not get there counts as all its steps.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.drifting_threat import CONF, permutation_p
from rl_eval import config as run_configs
from rl_eval.hydra_compose import compose
from rl_eval.run import Run
from rl_eval.tracking import open_tracker
from rl_eval.training import train

PARENT = ("total_steps=200_000",)
NEW = (
    "env.prevalence=0.3", "env.data_seed=7", "env.costs=[[0.0,1.0,0.6,0.4],[1.5,0.0,0.3,0.5]]", "total_steps=200_000",
    "validation.every=4096",
)  # fmt: skip


def learn(directory: Path, *overrides: str) -> Run:
    """A run on threat traffic."""
    config = run_configs.load(compose(CONF, ["agent=ppo", "env=threat", "judge=off", *overrides]))
    directory.mkdir(parents=True)
    return train(config, directory, tracker=open_tracker(config.tracker, run_dir=directory, config={}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--bar", type=float, default=0.056, help="mean cost of a flow")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    with tempfile.TemporaryDirectory() as folder:
        parent = learn(Path(folder) / "parent", *PARENT)
        steps: dict[str, list[int]] = {"scratch": [], "init": []}
        reached = dict.fromkeys(steps, 0)
        for seed in range(arguments.seeds):
            for name, own in (("scratch", ()), ("init", (f"init={parent.path}",))):
                new = (*NEW, *own, f"seed={seed}", f"validation.stop_at={arguments.bar}")
                run = learn(Path(folder) / f"{name}_{seed}", *new)
                steps[name].append(int(run.info["env_steps"]))
                reached[name] += float(run.info["validation_score"]) <= arguments.bar
    print(f"{'':>10} {'median':>8} {'mean':>8} {'±':>7} {'reached':>8}   env steps to a mean cost of {arguments.bar:g}")
    for name, counts in steps.items():
        spread = float(np.std(counts, ddof=1)) if len(counts) > 1 else 0.0
        of_all = f"{reached[name]}/{len(counts)}"
        print(f"{name:>10} {np.median(counts):8,.0f} {np.mean(counts):8,.0f} {spread:7,.0f} {of_all:>8}")
    saved = np.array(steps["scratch"], float) - np.array(steps["init"], float)
    print(f"init needs {saved.mean():,.0f} steps fewer, paired permutation p = {permutation_p(saved):.4f}")


if __name__ == "__main__":
    main()
