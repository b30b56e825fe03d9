"""Suites of criteria by estimate, and their verdicts on runs."""

from __future__ import annotations

from rl_eval.gates import evaluate_suite, load_suite, named_runs
from tests.gates.fake_runs import write_suite

THREAT = {"name": "threat", "train_flows": 2000, "validation_flows": 500, "test_flows": 2000}
SMALL_THREAT = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"


def suite(tmp_path, *criteria, env="cartpole", head=""):
    criteria_lines = "\n".join(f"  c{number}: {{{criterion}}}" for number, criterion in enumerate(criteria))
    fixed = "episodes: {fixed: 10}\n" if env == "cartpole" and "episodes" not in head else ""
    if "controls" not in head:
        head += "\ncontrols: []"  # test_controls.py is about those
    head += "\nleaks: report"  # runs written by hand have no record of their training
    text = f"rl_eval: 1\nenv: {env}\ntrain: {{agent: ppo}}\n{fixed}{head}\ncriteria:\n{criteria_lines}\n"
    return load_suite(write_suite(tmp_path / "s.yaml", text), label="suites/s.yaml")


def verdicts(suite, *runs, **keywords):
    return evaluate_suite(suite, named_runs(suite, [run.path for run in runs]), **keywords).criteria[
        :-1
    ]  # but held_out
