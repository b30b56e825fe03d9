"""Files of flows whose labels differ by month, suites on them, and verdicts."""

from __future__ import annotations

import numpy as np
import yaml

from rl_eval.gates import evaluate_suite, load_suite, named_runs

CSV = {"name": "threat", "data": "csv", "label": "label"}
TRAIN = ["agent=ppo", "env=threat", "env.data=csv", "env.label=label", "env.shift=50", "tracker=none", "seed=1"]
TRAIN += ["agent.network.widths=[8]", "lr=0.02", "total_steps=20000"]
FLAGS_ALL = (0.0, 1.0, 0.0, 0.0)


def write_csv(path, months, *, columns=("size", "port"), rows=1200, seed=0, shift=0.0):
    """Flows whose first column says in January that they are threats where it is large, in February where small."""
    values = np.random.default_rng(seed).uniform(size=(rows, len(columns)))
    labels = (values[:, 0] > 0.5) == (months == "jan")
    lines = [f"{','.join(f'{v + shift:.4f}' for v in row)},{int(y)}" for row, y in zip(values, labels, strict=True)]
    path.write_text("\n".join([",".join([*columns, "label"]), *lines]) + "\n")
    return path


def write_suite(path, *, env=(), **keys):
    criteria = {"f1": {"metric": "f1", "at_least": 0.8}}
    values = {"rl_eval": 1, "env": {**CSV, "shift": 50, **dict(env)}, "controls": [], "criteria": criteria, **keys}
    path.write_text(yaml.safe_dump(values))
    return load_suite(path, path.name)


def judge(suite, *specs):
    verdict = evaluate_suite(suite, named_runs(suite, specs))
    return verdict.criteria[0], verdict.criteria[-1]
