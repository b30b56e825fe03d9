"""A config of the loop, logged decisions with rewards, and what was audited."""

import numpy as np

from rl_eval.production.records import LoggedDecision, LoggedReward
from rl_eval.production.watch.figures import audit_tail
from tests.serving.served_runs import OBS

SECTIONS = {
    "trigger": {"daily": None, "experiences": 200, "least": 100, "drift": False, "monthly": None},
    "training": {"rounds": 1, "fisher_rows": 16},
    "proof": {"epsilon": None, "margin": 5.0, "least_effective": 2.0},
    "rollout": {"low": -10.0, "high": 10.0, "margin": 5.0},
    "loop": {"reference_episodes": 0, "wrong_below": 0.5},
}


def collect(parts, count, version="1", first=0, at=1e9, rewards=(0.0, 1.0)):
    """Decisions of a uniform policy between two actions, and their rewards; each unit once.

    Args:
        rewards: of the two actions.
    """
    rng = np.random.default_rng(first)
    records = []
    for number in range(first, first + count):
        observation = np.asarray(OBS + rng.normal(0, 0.1, 4), np.float32).tobytes()
        action = np.int64(rng.integers(2))
        confidence = float(rng.uniform(0.5, 1.0))
        records += [
            LoggedDecision(f"d{number}", at + number, f"u{number}", version, observation, None, action.tobytes(), 0.5,
                           confidence, 0.0),
            LoggedReward(f"d{number}", rewards[action], at + number, True, False),
        ]  # fmt: skip
    parts.store.ingest(records, lambda pairs, before: [None] * len(pairs), at + first + count)


def events(parts):
    return [line.event for line in reversed(audit_tail(parts.audit.path, 50))]
