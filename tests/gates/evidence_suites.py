"""Suites of criteria by evidence, and their verdicts on policies or on episodes made by hand."""

from __future__ import annotations

import numpy as np

from rl_eval.gates import evaluate_suite, load_suite, named_runs
from rl_eval.gates.episode_buffer import EpisodeBuffer
from rl_eval.gates.play_criteria import new_check
from rl_eval.gates.suite_environment import SuiteEnvironment
from rl_eval.rollout import Episodes
from tests.gates.fake_runs import write_suite

SMALL_THREAT = "{name: threat, train_flows: 2000, validation_flows: 500, test_flows: 2000}"


def suite(tmp_path, *criteria, env="cartpole", head="", episodes="max: 400, return_bounds: [0, 500]", controls="[]"):
    criteria_lines = "\n".join(f"  c{number}: {{{criterion}}}" for number, criterion in enumerate(criteria))
    text = f"rl_eval: 1\nenv: {env}\nepisodes: {{{episodes}}}\ncontrols: {controls}\nleaks: report\n{head}\n"
    return load_suite(write_suite(tmp_path / "s.yaml", f"{text}criteria:\n{criteria_lines}\n"), label="suites/s.yaml")


def verdicts(suite, *specs, **keywords):
    criteria = evaluate_suite(suite, named_runs(suite, [str(spec) for spec in specs]), **keywords).criteria
    return [verdict for verdict in criteria if verdict.criterion.startswith("c") and verdict.criterion != "controls"]


def buffer_of(returns, label=None, flagged=None):
    """One-step episodes made by hand."""
    count = len(returns)
    outcome = {"native_reward": np.asarray(returns, float)}
    if label is not None:
        outcome |= {"label": np.asarray(label), "flagged": np.asarray(flagged)}
    ones, zeros = np.ones(count, np.int64), np.zeros(count, bool)
    return EpisodeBuffer(
        iter([Episodes(np.arange(count), ones, zeros, np.arange(count), outcome, np.zeros((count, 1)))])
    )


def decide(suite, buffer, criterion=0, **keywords):
    """The verdict of one criterion on the episodes of a buffer."""
    environment = SuiteEnvironment(suite, suite.judged)
    try:
        check = new_check(environment, suite.criteria[criterion], **keywords)
        while buffer.play_more():
            check.update(buffer, buffer.count)
        return check.finish()
    finally:
        environment.close()
