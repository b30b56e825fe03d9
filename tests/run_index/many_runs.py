"""Run directories that are written fast: `run.json`, `config.yaml`, `metrics.csv` and `verdict.json`, no policy."""

import json

CONFIG = """seed: {seed}
total_steps: 20000
validation: {{metric: mean_return}}
agent: {{name: {agent}, lr: 0.001}}
env: {{name: cartpole, id: CartPole-v1}}
"""
DECISIONS = ("PASS", "FAIL", "INCONCLUSIVE")


def criterion(decision, estimate, name="solved"):
    return {
        "suite": "pole", "criterion": name, "metric": "mean_return", "decision": decision,
        "detail": f"mean_return {estimate}", "by": "evidence", "direction": "at_least", "threshold": 475.0,
        "estimate": estimate, "interval": [estimate - 9, estimate + 9], "misses_by": None, "units": 100,
        "units_max": 400, "unit": "episode", "decided_at": 57, "run": "here", "more": None, "population": "source",
        "reference": None, "history": None, "factor": None,
    }  # fmt: skip


def verdict(decision, estimate, part="test"):
    return {
        "suite": "pole", "file": "suites/pole.yaml", "env": "cartpole", "policy": "greedy", "gate_seed": 7,
        "runs": ["here"], "criteria": [criterion(decision, estimate)], "alpha": 0.05, "test_set": "f00d",
        "passed_over": [], "judged": [], "part": part, "test_data": "400 episodes", "assumed": [],
        "train_command": None, "passed": decision == "PASS",
    }  # fmt: skip


def write_one(
    directory, number=0, *, status="finished", decision="PASS", score=490.0, agent="ppo", suites=None, **info
):
    """A run that started at second `number` of a day."""
    directory.mkdir(parents=True)
    started = f"2026-03-01T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}+00:00"
    values = {
        "schema": 1, "status": status, "reason": None, "name": directory.name, "started": started,
        "results": {"mean_return": score}, "env": "cartpole", "env_id": "CartPole-v1", "agent": agent,
        "seed": number % 10, "metric": "mean_return", "env_steps": 20_480, "wall_s": 5.0, "snapshot": "step_16384",
        "validation_score": score, **info,
    }  # fmt: skip
    (directory / "run.json").write_text(json.dumps(values))
    (directory / "config.yaml").write_text(CONFIG.format(seed=number % 10, agent=json.dumps(agent)))
    (directory / "metrics.csv").write_text("env_steps,episode_return_mean\n1000,20.0\n2000,200.0\n")
    if decision is not None:
        judged = [verdict(decision, score)] if suites is None else suites
        (directory / "verdict.json").write_text(json.dumps({"schema": 1, "suites": judged}))
    return directory


def write_many(outputs, count):
    """`count` runs in sweeps of 50, of two agents and three decisions."""
    for number in range(count):
        agent = ("ppo", "dqn")[number % 2]
        folder = outputs / f"2026-03-{number // 500 + 1:02d}" / f"{number // 50:04d}_sweep"
        write_one(
            folder / f"{number}_seed={number % 10}", number, decision=DECISIONS[number % 3], score=480.0 + number % 20,
            agent=agent,
        )  # fmt: skip
