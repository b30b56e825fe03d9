"""Time and peak memory of reading a large Qase project: 50,000 cases and 1,000,000 results.

    python -m benchmarks.qase_import [--cases N] [--results N] [--json]

The cases are one JSON export. The results are bodies of v2 bulk requests as reporters send them, 2,000 and one run per
file. A separate process reads them. The time is from opening the first file to results joined with cases; features
(`extract_features`, 64 per result) are timed separately.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.our_training import ROOT

BULK = 2000  # the most results that a bulk request may hold
WORDS = "login user cart order refund payment address token page list create update delete search filter".split()
_READ = """
import json, resource, sys, time
from rl_eval.domains.qase.environment.features import extract_features
from rl_eval.domains.qase.formats.load import load
wall, cpu = time.perf_counter(), time.process_time()
results = load(sys.argv[1] + "/export.json", sys.argv[1] + "/results")
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024e-3
start = time.perf_counter()
states = extract_features(results.project, results.log)
features = time.perf_counter() - start
print(json.dumps([len(results.project.cases), len(results.results), len(states), wall, cpu, peak, features]))
"""


@dataclass(frozen=True)
class ImportCost:
    """What one import costs; memory is the peak resident size after it."""

    cases: int
    results: int
    executions: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    features_s: float


def write_project(folder: Path, *, cases: int, results: int, seed: int = 0) -> None:
    """Write an export and its results; the same for the same seed."""
    draw = random.Random(seed)
    suites = [
        {"id": s + 1, "title": f"suite {s}", "description": None, "preconditions": None, "suites": None,
         "cases": [_case(i + 1, draw) for i in range(100 * s, min(100 * s + 100, cases))]}
        for s in range(-(-cases // 100))
    ]  # fmt: skip
    (folder / "export.json").write_text(json.dumps({"suites": suites}))
    (folder / "results").mkdir()
    for run in range(-(-results // BULK)):
        start = 1.7e9 + 86400 * run
        entries = [_result(draw.randint(1, cases), start + k, draw) for k in range(min(BULK, results - BULK * run))]
        (folder / "results" / f"run-{run}.json").write_text(json.dumps({"results": entries}))


def _case(key: int, draw: random.Random) -> dict:
    steps = [
        {
            "position": k + 1,
            "action": f"POST /{draw.choice(WORDS)}",
            "expected_result": "201",
            "data": "{}",
            "steps": [],
        }
        for k in range(3)
    ]
    return {
        "id": key, "title": f"{draw.choice(WORDS)} {draw.choice(WORDS)} {key}", "description": None,
        "preconditions": f"a {draw.choice(WORDS)} exists", "postconditions": None,
        "priority": draw.choice(["high", "medium", "low"]), "severity": "major", "type": "functional",
        "behavior": "negative", "automation": "automated", "status": "actual", "is_flaky": "no", "layer": "api",
        "milestone": None, "custom_fields": [], "steps_type": "classic", "steps": steps, "tags": ["demo"],
        "params": None, "is_muted": False,
    }  # fmt: skip


def _result(key: int, start: float, draw: random.Random) -> dict:
    return {
        "title": f"test {key}", "signature": f"{key}::tests::test_{key}", "testops_ids": [key],
        "execution": {"status": "failed" if draw.random() < 0.1 else "passed", "start_time": start,
                      "end_time": start + 1.5, "duration": 1500, "stacktrace": None, "thread": "worker-1"},
        "relations": {"suite": {"data": [{"title": "tests", "public_id": None}, {"title": "api", "public_id": None}]}},
        "fields": {}, "params": {}, "muted": False, "message": None,
    }  # fmt: skip


def measure(folder: Path) -> ImportCost:
    """Read what `write_project` wrote, in another process."""
    command = [sys.executable, "-c", _READ, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return ImportCost(*json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--results", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_project(Path(name), cases=args.cases, results=args.results)
        results = measure(Path(name))
    if args.json:
        print(json.dumps(asdict(results)))
        return
    print(f"{results.cases:,} cases and {results.results:,} results: {results.wall_s:.1f} s")
    print(f"{results.cpu_s:.1f} s of CPU, peak {results.peak_mb:,.0f} MB; features {results.features_s:.1f} s")


if __name__ == "__main__":
    main()
