"""Does the default agent ever order worse than the failure-rate sort? `python -m benchmarks.qase_histories`.

Protocol: ten kinds of generated history, of 5 to 300 cycles, half of them with a signal beyond how often a case fails.
On each history the default settings train, and both orders are compared on all cycles of the test part. These cycles
are the whole population, so the sign of the mean difference is exact: `worse` is below 0, `better` above. Where the
trials on earlier cycles see no gain, the agent orders as the sort does, and the difference is 0.

The first history of each kind has the data seed 0. `--seeds 0 1 2 3 4 5` adds five others, and prints their mean
difference and its deviation. The last column is the time of the training with its trials.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.drifting_threat import CONF
from rl_eval import config as run_configs
from rl_eval import domains, metrics, policy
from rl_eval.hydra_compose import compose
from rl_eval.rollout import play
from rl_eval.run import Run
from rl_eval.tracking import open_tracker
from rl_eval.training import train

# cycles, and whether there is a signal
HISTORIES = (
    (5, False), (10, False), (20, True), (30, False), (40, True), (80, True), (100, False), (150, True), (300, False),
    (300, True),
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The trained agent compared with the sort on the test cycles of one history.

    Attributes:
        run: without its files.
        sort, agent: `[E]` APFD of each cycle.
    """

    run: Run
    sort: np.ndarray = field(repr=False)
    agent: np.ndarray = field(repr=False)

    @property
    def difference(self) -> float:
        """Mean APFD of the agent minus that of the sort."""
        return float((self.agent - self.sort).mean())


def history(cycles: int, signal: bool, data_seed: int) -> tuple[str, ...]:
    """The overrides of `train.py` for a generated history."""
    return f"env.cycles={cycles}", f"env.signal={str(signal).lower()}", f"env.data_seed={data_seed}"


def learn(directory: Path, *overrides: str) -> Run:
    """A run of the default agent on test cycles, not judged."""
    config = run_configs.load(compose(CONF, ["env=qase", "judge=off", *overrides]))
    directory.mkdir(parents=True)
    return train(config, directory, tracker=open_tracker(config.tracker, run_dir=directory, config={}))


def compare(run: Run, acting: Run | None = None) -> Comparison:
    """Play the test part of a run's data with the sort and with the policy of the run, or of `acting`."""
    config = domains.validate(run.config["env"])
    domain = domains.domain(config.name)
    count = domain.episodes(config, "test")
    vector = domains.make(config, n_envs=min(count, 32), part="test", autoreset=False)
    apfd = metrics.lookup("apfd").variable
    trained = policy.load(str((acting or run).path), policy.Spaces.of(config, vector), config)
    orders = trained, domain.baselines["failure_rate"](config)
    agent, sort = (apfd(play(vector, order, seeds=range(count)), config) for order in orders)
    vector.close()
    return Comparison(run, sort, agent)


def compare_history(cycles: int, signal: bool, data_seed: int, *overrides: str) -> Comparison:
    """Train on a generated history and compare on its test cycles."""
    with tempfile.TemporaryDirectory() as folder:
        return compare(learn(Path(folder) / "run", *history(cycles, signal, data_seed), *overrides))


def verdict(difference: float) -> str:
    """What is certain once all cycles are played."""
    return "equal" if difference == 0 else "better" if difference > 0 else "worse"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="data seeds of the histories of each kind")
    parser.add_argument("--cycles", type=int, nargs="+", default=[], help="only these lengths")
    parser.add_argument("--overrides", nargs="+", default=[], help="of train.py, such as agent=a2c")
    arguments = parser.parse_args()
    print("cycles  signal  seed  test    sort   agent  difference          trials' p  judged  seconds", flush=True)
    for cycles, signal in HISTORIES:
        if arguments.cycles and cycles not in arguments.cycles:
            continue
        differences = []
        for seed in arguments.seeds:
            row = compare_history(cycles, signal, seed, *arguments.overrides)
            trials = row.run.info["trials"]
            differences.append(row.difference)
            print(
                f"{cycles:>6}  {'yes' if signal else 'no':>6}  {seed:>4}  {len(row.sort):>4}  {row.sort.mean():.4f}  "
                f"{row.agent.mean():.4f}  {row.difference:+.4f} {verdict(row.difference):>8}  "
                f"{trials['p_value']:>12.3g}  {trials['judged'].split()[1]:>7}  {row.run.info['wall_s']:>7.1f}",
                flush=True,
            )
        if len(differences) > 1:
            print(f"{cycles:>6}  mean {np.mean(differences):+.4f}, deviation {np.std(differences, ddof=1):.4f}")


if __name__ == "__main__":
    main()
