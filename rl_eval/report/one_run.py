"""The page on one run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains import DEFAULT, domain
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.report import animation, charts, curves, verdicts
from rl_eval.report.behaviour import Behaviour, observe
from rl_eval.report.findings import findings_of
from rl_eval.report.page import count, duration, flat, number, percent, render
from rl_eval.report.reading import Told, read

# of run.json, in this order; the rest is told elsewhere on the page
PROVENANCE = (
    "status", "reason", "started", "ended", "env_steps", "gradient_steps", "training_epochs", "episodes", "wall_s",
    "steps_per_s", "validation_s", "snapshot", "validation_score", "results", "versions", "git_revision", "config_hash",
    "data_fingerprints", "hardware", "backend", "cost",
)  # fmt: skip
SECTIONS = (
    ("criteria", "Criteria"), ("evidence", "Evidence"), ("findings", "Findings"), ("learning", "Learning"),
    ("behaviour", "Behaviour"), ("reward", "Reward"), ("provenance", "Provenance"),
)  # fmt: skip


def run_page(path: Path, *, trust: bool = False) -> str:
    """The HTML of one run; what cannot be shown is a sentence on it.

    Args:
        trust: whether an environment that the run names may import a module.

    Raises:
        InputError: the directory is no run.
    """
    told = read(path)
    missing = list(told.missing)
    seen = _seen(told, trust, missing)
    findings = findings_of(told, missing, trust=trust)
    group = [curves.Group(path.name, [told.metrics])]
    suites = [_suite(suite) for suite in told.suites]
    evidence = [each for suite in told.suites for each in verdicts.evidence(suite)]
    values: dict[str, Any] = {
        "headline": verdicts.headline(told.suites),
        "facts": facts(told),
        "missing": missing,
        "suites": suites,
        "evidence": evidence,
        "evidence_legend": charts.legend([("for PASS", 1), ("for FAIL", 2)]),
        "alpha": told.suites[0].alpha if told.suites else 0.05,
        "odds": number(1 / told.suites[0].alpha if told.suites and told.suites[0].alpha else 20.0, 3),
        "unit": evidence[0].verdict.unit if evidence else "unit",
        "findings": None if findings is None else [("", finding) for finding in findings],
        "learning": curves.learning(group, bars(told), validation_metric(told)),
        "optimisation": curves.optimisation(group),
        "others": curves.others(group),
        "rewards": curves.rewards(group),
        "actions": curves.actions(group, seen.action_names() if seen else ()),
        "behaviour": _behaviour(seen, missing) if seen else None,
        "terms": reward_terms(told),
        "provenance": provenance(told.run.info),
        "command": told.run.info.get("command"),
        "config": flat({key: value for key, value in told.run.config.items() if key != "reward"}),
    }
    shown = {
        **{name: bool(values[name]) for name in ("evidence", "behaviour")},
        "criteria": bool(suites),
        "findings": values["findings"] is not None,
        "learning": bool(values["learning"] or values["optimisation"]),
        "reward": bool(values["terms"] or values["rewards"]),
        "provenance": True,
    }
    contents = [(anchor, name) for anchor, name in SECTIONS if shown[anchor]]
    return render("run.html", title=title(told), contents=contents, **values)


def title(told: Told) -> str:
    """What was trained on what."""
    info, config = told.run.info, told.run.config
    named = config.get("agent")
    agent = brief(info.get("agent") or (named.get("name", "?") if isinstance(named, dict) else "?"), 60)
    seed = brief(info.get("seed", config.get("seed", "?")), 30)
    return f"{agent.upper() if len(agent) <= 4 else agent} on {environment_name(told)}, seed {seed}"


def environment_name(told: Told) -> str:
    """The environment as a person names it: any of Gymnasium's by its id."""
    env = told.run.config["env"]
    return brief(env.get("id" if env.get("name") == DEFAULT else "name") or "?", 60)


def facts(told: Told) -> list[str]:
    """What a reader wants to know first of how the run came about."""
    info = told.run.info
    said = [brief(told.run.path.resolve().name, 120)]
    if info.get("status") != "finished":
        said.append(f"training {info['status']}" + (f": {brief(info['reason'], 200)}" if info.get("reason") else ""))
    if isinstance(info.get("ended") or info.get("started"), str):
        said.append((info.get("ended") or info["started"])[:16].replace("T", " "))
    said.append(f"{count(info.get('env_steps'))} env steps in {duration(info.get('wall_s'))}")
    return said


def bars(told: Told) -> dict[str, tuple[float, str]]:
    """Column of the metrics -> a criterion's threshold on it, with its name."""
    found = {}
    asked = {
        each.metric: (each.threshold, f"{COMPARISON_SIGNS[each.direction]} {number(each.threshold)} asked for")
        for suite in told.suites
        for each in suite.criteria
        if each.threshold is not None and each.direction in ("at_least", "at_most")
    }
    metric = validation_metric(told)
    if metric in asked:
        found["validation_score"] = asked[metric]
    if "mean_return" in asked and "reward/native" in told.metrics:
        found["episode_return_mean"] = asked["mean_return"]
    return found


def validation_metric(told: Told) -> str | None:
    """The metric that chose between snapshots."""
    validation = told.run.config.get("validation")
    metric = validation.get("metric") if isinstance(validation, dict) else None
    return metric if isinstance(metric, str) else None


def reward_terms(told: Told) -> list[tuple[str, str]]:
    """The settings of every term of the reward."""
    reward = told.run.config.get("reward")
    terms = reward.get("terms") if isinstance(reward, dict) else None
    return flat(terms, most=100) if isinstance(terms, dict) else []


def provenance(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`run.json` as dotted names and values."""
    return flat({key: info[key] for key in PROVENANCE if info.get(key) is not None})


def _suite(suite: SuiteVerdict) -> dict[str, Any]:
    told_by_evidence = {each.criterion for each in suite.criteria if each.history}
    reasons = [
        each
        for each in suite.criteria
        if each.decision in ("FAIL", "INCONCLUSIVE", "ERROR")
        and each.criterion not in told_by_evidence
        and each not in verdicts.checks(suite)
    ]
    return {
        "verdict": suite,
        "criteria": verdicts.criteria(suite),
        "checks": verdicts.checks(suite),
        "reasons": reasons,
        "waiting": next((each.detail for each in suite.criteria if each.decision == "NEEDS_RUNS"), ""),
    }


def _seen(told: Told, trust: bool, missing: list[str]) -> Behaviour | None:
    """The judged policy at play; where that is not possible, a sentence says why."""
    if told.run.info.get("snapshot") is None and not told.run.snapshots():
        missing.append("the run holds no snapshot, so its policy cannot be shown")
        return None
    try:
        return observe(told, trust=trust)
    except InputError as error:
        missing.append(f"the policy at play: {error}")
    except Exception as error:  # an environment or data of somebody else
        missing.append(f"the policy at play: {type(error).__name__}: {brief(' '.join(str(error).split()), 300)}")
    return None


def _behaviour(seen: Behaviour, missing: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"lead": _lead(seen), "films": [], "returns": None, "figures": []}
    try:
        found["films"] = animation.films(seen)
    except Exception as error:  # drawing is the environment's own code
        missing.append(f"the animation: {type(error).__name__}: {brief(' '.join(str(error).split()), 300)}")
    if seen.returns is not None:
        found["returns"] = _returns(seen, seen.returns)
    try:
        found["figures"] = domain(seen.config.name).figures(seen)
    except Exception as error:  # a domain of somebody else
        missing.append(
            f"figures of {seen.config.name}: {type(error).__name__}: {brief(' '.join(str(error).split()), 300)}"
        )
    return found


def _lead(seen: Behaviour) -> str:
    if seen.part == "validation":
        cases = f", {count(len(seen.episodes.episode))} cases" if seen.confusion is not None else ""
        return (
            f"The judged policy, greedy, on {count(len(seen.episodes))} episodes of the validation part{cases}. "
            "That part chose the snapshot, so figures lean a little to the bright side; "
            "the gate's own data stays unseen."
        )
    return (
        f"The judged policy, greedy, on {count(len(seen.episodes))} fresh episodes that belong to this page alone: "
        "neither training nor the gate plays them."
    )


def _returns(seen: Behaviour, returns: np.ndarray) -> dict[str, Any]:
    bar = getattr(seen.config, "success_return", None)
    rule = (float(bar), f"success: {number(bar)}") if isinstance(bar, int | float) else None
    said = (
        f"One dot an episode: median {number(float(np.median(returns)))}, lowest {number(float(returns.min()))}, "
        f"highest {number(float(returns.max()))}"
    )
    if rule is not None:
        said += f"; {percent(float((returns >= rule[0]).mean()), 0)} reach {number(rule[0])}"
    return {"chart": charts.strip(returns, f"Returns. {said}.", rule=rule, x_label="return"), "caption": f"{said}."}
