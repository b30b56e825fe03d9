"""Cost per flow of the tuned agents, compared with supervised learning at the same prices.

    python -m benchmarks.threat_references [--data DIR] [--only NAME …] [--agents ppo dqn a2c] [--seeds 1 2 3 4 5]
        [--part validation] [--overrides …]

On three data sets: KDDTrain+ of NSL-KDD (where `--data`, default ../shared/data, holds `nsl-kdd/`), split by hash and
resampled to 11 % attacks; the generated file of `benchmarks.threat_files`; and the embedded data. Agents train with the
defaults of `train.py`, so the snapshot with the least cost on the validation part is judged. The three classifiers are
fitted to the same training part and take the action of least expected cost. `ratio` is to the best classifier.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.drifting_threat import CONF
from benchmarks.threat_files import PREVALENCE, generated_csv, nsl_kdd_csv
from rl_eval import config as run_configs
from rl_eval import domains, policy
from rl_eval.domains import threat
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train

CLASSIFIERS = ("logistic_regression", "random_forest", "hist_gradient_boosting")
NAMES = ("kdd", "generated", "embedded")


def overrides_of(name: str, data: Path, folder: Path) -> list[str]:
    """What selects a data set in `train.py`; its file is written to the folder."""
    if name == "embedded":
        return []
    path = folder / f"{name}.csv"
    if name == "generated":
        generated_csv(path)
        return ["env.data=csv", f"env.path={path}", "env.label=is_attack"]
    nsl_kdd_csv(data / "nsl-kdd", path)
    columns = ["env.label=is_attack", "env.category=attack_type"]
    return ["env.data=csv", f"env.path={path}", *columns, f"env.prevalence={PREVALENCE}"]


def cost_per_flow(acting: policy.Policy, config: threat.Config, part: str) -> float:
    """Mean cost of the greedy decisions on every flow of a part."""
    from rl_eval.domains.threat.data import load_dataset

    flows = load_dataset(config).parts[part]
    actions = np.asarray(acting.act(flows.features, True))
    return float(np.asarray(config.costs)[flows.label, actions].mean())


def train_and_score(overrides: Sequence[str], part: str) -> tuple[float, float]:
    """Cost per flow of the policy that a run would be judged by, and the env steps per second of its training."""
    config = run_configs.load(compose(CONF, ["env=threat", "judge=off", *overrides]))
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        directory.mkdir()
        start = time.perf_counter()
        run = train(config, directory, tracker=open_tracker(config.tracker, run_dir=directory, config={}))
        rate = config.total_steps / (time.perf_counter() - start)
        vector = domains.make(config.env, n_envs=1, part="validation", autoreset=False)
        acting = policy.load(str(run.path), policy.Spaces.of(config.env, vector), config.env)
        vector.close()
        return cost_per_flow(acting, config.env, part), rate


def measure(name: str, overrides: list[str], args: argparse.Namespace) -> None:
    """Print the rows of one data set."""
    config = run_configs.load(compose(CONF, ["env=threat", *overrides])).env
    costs = {}
    for classifier in CLASSIFIERS:
        costs[classifier] = cost_per_flow(threat.DOMAIN.baseline(f"{classifier}@cost", config), config, args.part)
    best = min(costs.values())
    for classifier, cost in costs.items():
        print(f"{name:<10} {classifier + '@cost':<28} {cost:.5f}  ratio {cost / best:.3f}", flush=True)
    for agent in args.agents:
        results = []
        for seed in args.seeds:
            results.append(train_and_score([f"agent={agent}", f"seed={seed}", *overrides, *args.overrides], args.part))
            print(f"{name:<10} {agent} seed {seed}: {results[-1][0]:.5f}, {results[-1][1]:,.0f} steps/s", flush=True)
        figures = np.array(results)[:, 0]
        median, worst = float(np.median(figures)), float(figures.max())
        print(
            f"{name:<10} {agent:<28} {median:.5f}  ratio {median / best:.3f}  from {figures.min():.5f} to {worst:.5f}, "
            f"the worst {worst / best:.3f}",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds nsl-kdd/")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--agents", nargs="+", choices=("ppo", "dqn", "a2c"), default=["ppo", "dqn"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--overrides", nargs="*", default=[], help="of training, such as lr=1e-3")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only:
            measure(name, overrides_of(name, args.data, Path(folder)), args)


if __name__ == "__main__":
    main()
