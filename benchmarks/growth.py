"""How time and memory grow with the number of copies, weights, jobs of a sweep, episodes, and runs in `outputs/`.

    python -m benchmarks.growth [--only copies weights jobs episodes runs] [--repeats R] [--json]

Each row is one piece of work at growing sizes: the fewest processor seconds of the repeats, which other programs
hardly change, and the peak megabytes that Python and numpy allocated; memory of torch is not in it. `exponent` is the
slope of the logarithms between the smallest and the largest size: 1 is linear, and less is better, since a fixed part
is shared. Nothing here should be worse than linear; what is, by more than noise, ends the program with status 1.
Weights count, and not widths, since a layer has the square of its width.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.interleave import as_json, machine, show
from benchmarks.our_training import ROOT

ALLOWED = 1.25  # the largest exponent that counts as linear


@contextlib.contextmanager
def copies(size: int) -> Iterator[Callable[[], Any]]:
    """One step of every copy of an environment that steps them all with numpy."""
    from rl_eval import domains

    vector = domains.make(domains.validate({"name": "threat"}), n_envs=size, part="train")
    vector.reset(seed=0)
    vector.action_space.seed(0)
    actions = vector.action_space.sample()
    yield lambda: [vector.step(actions) for _ in range(5)]
    vector.close()


@contextlib.contextmanager
def weights(size: int) -> Iterator[Callable[[], Any]]:
    """One iteration of PPO with a square layer of that many weights."""
    from benchmarks.our_training import config_of
    from rl_eval import agent_registry, domains, seeding

    width = round(math.sqrt(size))
    config = config_of(
        ["env=cartpole", "agent=ppo", "agent.n_envs=8", "agent.n_steps=32", "agent.n_epochs=2", "agent.batch_size=128",
         f"agent.network.widths=[{width},{width}]"]
    )  # fmt: skip
    vector = domains.make(config.env, n_envs=8, part="train")
    generators = {name: seeding.generator(1, name) for name in ("init", "policy", "minibatch")}
    agent = agent_registry.agent("ppo").build(config.agent, vector, generators=generators, total_steps=10**6)
    agent.start(list(range(8)))
    agent.iterate()
    yield agent.iterate
    vector.close()


@contextlib.contextmanager
def jobs(size: int) -> Iterator[Callable[[], Any]]:
    """Composing and checking the jobs of a sweep."""
    from rl_eval.launch import plan

    seeds = ",".join(map(str, range(size)))
    yield lambda: plan(ROOT / "conf", ROOT / "suites", ["env=cartpole", f"seed={seeds}"], True)


@contextlib.contextmanager
def episodes(size: int) -> Iterator[Callable[[], Any]]:
    """Evidence on that many episodes."""
    from rl_eval.evidence import MeanTest

    values = np.random.default_rng(0).random(size)

    def decide() -> Any:
        test = MeanTest(0.5, limit=size)
        for start in range(0, size, 100):
            test.extend(values[start : start + 100])
        return test.result

    yield decide


@contextlib.contextmanager
def runs(size: int) -> Iterator[Callable[[], Any]]:
    """Reading every run in a folder, which choosing the runs of a suite begins with."""
    import yaml

    from rl_eval.hydra_compose import compose
    from rl_eval.run import find_runs, write_json, write_text

    text = yaml.safe_dump(compose(ROOT / "conf", ["env=cartpole"]), sort_keys=False)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(size):
            path = Path(folder) / "2026-01-01" / f"{number}"
            path.mkdir(parents=True)
            write_text(path / "config.yaml", text)
            write_json(path / "run.json", {"status": "finished", "started": f"2026-01-01T{number:08}", "env_steps": 1})
        yield lambda: find_runs(Path(folder))


WORK: dict[str, tuple[Callable[[int], Any], tuple[int, ...]]] = {
    "copies": (copies, (256, 1024, 4096, 16_384)),
    "weights": (weights, (64**2, 128**2, 256**2, 512**2)),
    "jobs": (jobs, (4, 16, 64)),
    "episodes": (episodes, (500, 2000, 8000, 32_000)),
    "runs": (runs, (10, 40, 160)),
}


def measured(work: Callable[[int], Any], size: int, repeats: int) -> tuple[float, float]:
    """The fewest processor seconds, and the peak MB, of some work at one size."""
    with work(size) as do:
        do()  # what is done once is not what grows
        seconds = []
        for _ in range(repeats):
            started = time.process_time()
            do()
            seconds.append(time.process_time() - started)
        tracemalloc.start()
        do()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return min(seconds), peak / 1e6


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the logarithms between the smallest and the largest size."""
    return math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=WORK, nargs="+", default=list(WORK))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    import torch

    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name in args.only:
        work, sizes = WORK[name]
        figures = [measured(work, size, args.repeats) for size in sizes]
        results[name] = {
            "what": str(work.__doc__).partition(".")[0],
            "sizes": sizes,
            "seconds": [seconds for seconds, _ in figures],
            "peak_mb": [peak for _, peak in figures],
            "exponent": exponent(sizes, [seconds for seconds, _ in figures]),
            "memory_exponent": exponent(sizes, [peak for _, peak in figures]),
        }
        print(_row(name, results[name]), file=sys.stderr if args.json else sys.stdout, flush=True)
    worse = [name for name, row in results.items() if max(row["exponent"], row["memory_exponent"]) > ALLOWED]
    if args.json:
        print(as_json("growth", {"worse_than_linear": worse, **results}))
    else:
        print(f"{machine()}\nworse than linear: {', '.join(worse) or 'nothing'}")
    return 1 if worse else 0


def _row(name: str, row: dict[str, Any]) -> str:
    figures = zip(row["sizes"], row["seconds"], row["peak_mb"], strict=True)
    cells = "  ".join(f"{size:,}: {1e3 * seconds:.3g} ms, {show(peak)} MB" for size, seconds, peak in figures)
    ends = f"exponent {row['exponent']:.2f}, of memory {row['memory_exponent']:.2f}"
    return f"{name} ({row['what']}): {ends}\n  {cells}"


if __name__ == "__main__":
    sys.exit(main())
