"""Judged runs written by hand: those of `write_run`, with a verdict with evidence and a metrics.csv."""

import numpy as np

from rl_eval.evidence import MeanTest
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict, decide_by_estimate, decide_by_evidence
from rl_eval.run import write_json
from tests.gates.fake_runs import FALL, write_run

COLUMNS = (
    "env_steps", "wall_s", "episode_return_mean", "episode_length_mean", "policy_loss", "value_loss", "entropy",
    "approx_kl", "clip_fraction", "explained_variance", "lr", "reward/native", "action/0", "action/1",
    "validation_score", "episodes", "gradient_steps",
)  # fmt: skip


def blank(criterion, metric, direction, **more):
    return CriterionVerdict("pole", criterion, metric, "ERROR", "", "evidence", direction, run="here", **more)


def by_evidence(criterion, values, theta, low, high, direction="at_least", metric="mean_return"):
    test = MeanTest(theta, low, high, direction=direction)
    test.extend(np.asarray(values, float))
    start = blank(criterion, metric, direction, unit="episode", units_max=400, population="source")
    return decide_by_evidence(start, test.result, theta, history=test.history)


def verdict(*criteria, suite="pole"):
    checks_of_suite = [
        CriterionVerdict(suite, "controls", "controls", "PASS", "no useless policy passes", "controls", "at_least"),
        CriterionVerdict(
            suite, "held_out", "held_out", "PASS", "none of 400 episodes was seen", "held_out", "at_least"
        ),
    ]
    return SuiteVerdict(suite, "suites/pole.yaml", "cartpole", "greedy", 7, ("here",), (*criteria, *checks_of_suite))


def passing():
    """Evidence that suffices, a plain number, and one criterion that waits for more runs."""
    rng = np.random.default_rng(0)
    quick = decide_by_estimate(blank("quick", "training.wall_s", "at_most", unit="run"), 2.5, 60.0, "")
    waiting = blank("stable", "mean_return_seed_std", "at_most", threshold=0.02)
    waiting = CriterionVerdict(**{**vars(waiting), "decision": "NEEDS_RUNS", "detail": "python train.py -m seed=1,2"})
    return verdict(by_evidence("solved", 480 + 20 * rng.random(400), 475.0, 0.0, 500.0), quick, waiting)


def failing():
    """Evidence against one criterion, and too little on another."""
    rng = np.random.default_rng(1)
    undecided = by_evidence("close", 400 * (rng.random(100) < 0.5), 199.0, 0.0, 400.0)
    assert undecided.decision == "INCONCLUSIVE"
    return verdict(by_evidence("solved", 100 * rng.random(400), 475.0, 0.0, 500.0), undecided)


def table(rows, columns=COLUMNS, seed=0):
    """`metrics.csv` of random walks."""
    rng = np.random.default_rng(seed)
    walks = np.cumsum(rng.normal(size=(rows, len(columns))), axis=0)
    walks[:, 0] = 100.0 * (1 + np.arange(rows))
    lines = [",".join(columns), *(",".join(map(repr, map(float, row))) for row in walks)]
    return "\n".join(lines) + "\n"


def judged_run(directory, env="cartpole", suites=None, rows=40, **options):
    """A run that has been judged; unless a rule is given, its episodes are short."""
    if env == "cartpole":
        options.setdefault("rule", FALL)
    run = write_run(directory, env, **options)
    suites = [passing()] if suites is None else suites
    write_json(directory / "verdict.json", {"suites": [suite.to_json() for suite in suites]})
    (directory / "metrics.csv").write_text(table(rows, seed=options.get("seed", 1)))
    return run
