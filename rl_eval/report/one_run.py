"""The page on one run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.cost import cost_text, cost_to_reach, money_text, recorded_cost
from rl_eval.domains import DEFAULT, domain
from rl_eval.errors import InputError
from rl_eval.formatting import COMPARISON_SIGNS, brief
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.report import animation, charts, criterion_rows, curves, verdicts
from rl_eval.report.behaviour import Behaviour, observe
from rl_eval.report.findings import findings_of
from rl_eval.report.html_page import count, duration, error_sentence, flat, number, percent, render
from rl_eval.report.judged_run import JudgedRun, read_judged_run
from rl_eval.run import trials_text

# keys of run.json, in this order; the others are shown elsewhere on the page
PROVENANCE = (
    "status", "reason", "started", "ended", "env_steps", "gradient_steps", "training_epochs", "episodes", "wall_s",
    "steps_per_s", "validation_s", "snapshot", "validation_score", "results", "versions", "git_revision", "config_hash",
    "data_fingerprints", "hardware", "backend",
)  # fmt: skip
SECTIONS = (
    ("criteria", "Criteria"), ("evidence", "Evidence"), ("findings", "Findings"), ("learning", "Learning"),
    ("behaviour", "Behaviour"), ("reward", "Reward"), ("provenance", "Provenance"),
)  # fmt: skip


def run_page(path: Path, *, trust: bool = False) -> str:
    """The HTML of one run. What cannot be shown becomes a sentence on the page.

    Args:
        trust: whether an environment that the run names may import a module.

    Raises:
        InputError: the directory is not a run.
    """
    run = read_judged_run(path)
    missing = list(run.missing)
    behaviour = _behaviour_of(run, trust, missing)
    findings = findings_of(run, missing, trust=trust)
    group = [curves.Group(path.name, [run.curves])]
    judged = judged_values(run.suites)
    values: dict[str, Any] = {
        "headline": verdicts.headline(run.suites, damaged=run.damaged_verdict),
        "facts": facts(run),
        "missing": missing,
        "trials": trials_text(run),
        **judged,
        "findings": None if findings is None else [("", finding) for finding in findings],
        "learning": curves.learning(group, bars(run), validation_metric(run)),
        "optimisation": curves.optimisation(group),
        "others": curves.other_columns(group),
        "rewards": curves.rewards(group),
        "actions": _actions(run, group, behaviour),
        "behaviour": _behaviour_section(behaviour, missing) if behaviour else None,
        "terms": reward_terms(run),
        "costs": costs(run),
        "provenance": provenance(run.info),
        "command": run.info.get("command"),
        "config": flat({key: value for key, value in run.config.items() if key != "reward"}),
    }
    present = {
        **{name: bool(values[name]) for name in ("evidence", "behaviour")},
        "criteria": bool(judged["suites"]),
        "findings": values["findings"] is not None,
        "learning": bool(values["learning"] or values["optimisation"]),
        "reward": bool(values["terms"] or values["rewards"]),
        "provenance": True,
    }
    contents = [(anchor, name) for anchor, name in SECTIONS if present[anchor]]
    return render("run.html", title=title(run), contents=contents, **values)


def judged_values(suites: Sequence[SuiteVerdict]) -> dict[str, Any]:
    """What `_criteria.html` shows of verdicts."""
    evidence = [row for suite in suites for row in verdicts.evidence(suite)]
    return {
        "suites": [_suite(suite) for suite in suites],
        "validation": verdicts.on_validation(suites),
        "evidence": evidence,
        "evidence_legend": charts.legend([("for PASS", 1), ("for FAIL", 2)]),
        "alpha": suites[0].alpha if suites else 0.05,
        "odds": number(1 / suites[0].alpha if suites and suites[0].alpha else 20.0, 3),
        "unit": evidence[0].verdict.unit if evidence else "unit",
    }


def title(run: JudgedRun) -> str:
    """The title of the page: agent, environment and seed."""
    info, config = run.info, run.config
    agent_config = config.get("agent")
    agent = brief(info.get("agent") or (agent_config.get("name", "?") if isinstance(agent_config, dict) else "?"), 60)
    seed = brief(info.get("seed", config.get("seed", "?")), 30)
    return f"{agent.upper() if len(agent) <= 4 else agent} on {environment_name(run)}, seed {seed}"


def environment_name(run: JudgedRun) -> str:
    """The name of the environment; of a Gymnasium environment, its id."""
    env = run.config["env"]
    return brief(env.get("id" if env.get("name") == DEFAULT else "name") or "?", 60)


def facts(run: JudgedRun) -> list[str]:
    """Name, status, date, steps and duration."""
    info = run.info
    texts = [brief(run.path.resolve().name, 120)]
    if info.get("status") != "finished":
        texts.append(f"training {info['status']}" + (f": {brief(info['reason'], 200)}" if info.get("reason") else ""))
    if isinstance(info.get("ended") or info.get("started"), str):
        texts.append((info.get("ended") or info["started"])[:16].replace("T", " "))
    texts.append(f"{count(info.get('env_steps'))} env steps in {duration(info.get('wall_s'))}")
    texts.append(f"cost: {money_text(recorded_cost(run).total)}")
    return texts


def costs(run: JudgedRun) -> list[tuple[str, str]]:
    """What training, judging by each suite, and reaching the bar on the validation part took."""
    recorded = recorded_cost(run)
    rows = [("training", cost_text(recorded.training))]
    rows += [(f"judging by {brief(suite, 80)}", cost_text(cost)) for suite, cost in recorded.judging.items()]
    rows += [("in all", cost_text(recorded.total))] if recorded.judging else []
    rows += [("to reach the bar", text) for text in _to_the_bar(run)]
    rate = recorded.rate
    if rate.machine is not None:
        of = f"{number(rate.share)} of " if rate.share != 1 else ""
        price = f"{number(rate.price_per_hour)} {rate.currency} an hour" if rate.price_per_hour else "price unknown"
        rows.append(("machine", f"{of}{rate.machine}, {price} on {rate.date}: {rate.source}"))
    return rows


def _to_the_bar(run: JudgedRun) -> list[str]:
    metric = validation_metric(run)
    for row in (row for suite in run.suites for row in suite.criteria):
        if row.metric != metric or row.threshold is None or row.direction not in ("at_least", "at_most"):
            continue
        bar = f"{metric} {COMPARISON_SIGNS[row.direction]} {number(row.threshold)} on validation"
        reached = cost_to_reach(run, row.threshold, higher_is_better=row.direction == "at_least")
        if reached is None:
            return [f"{bar}: not reached"]
        return [f"{bar}: after {count(reached.env_steps)} env steps, {cost_text(reached.cost)}"]
    return []


def _actions(run: JudgedRun, group: Sequence[curves.Group], behaviour: Behaviour | None) -> curves.Curve | None:
    """The shares of the actions in training; None where an action is another thing on every step."""
    with contextlib.suppress(InputError):  # a domain of a plugin that is not here
        if domain(str(run.config["env"].get("name"))).has_candidates:
            return None
    return curves.actions(group, behaviour.action_names() if behaviour else ())


def bars(run: JudgedRun) -> dict[str, tuple[float, str]]:
    """Column of the curves -> the threshold of a criterion on it, with its label."""
    thresholds = {
        row.metric: (row.threshold, f"threshold {COMPARISON_SIGNS[row.direction]} {number(row.threshold)}")
        for suite in run.suites
        for row in suite.criteria
        if row.threshold is not None and row.direction in ("at_least", "at_most")
    }
    by_column = {}
    metric = validation_metric(run)
    if metric in thresholds:
        by_column["validation_score"] = thresholds[metric]
    if "mean_return" in thresholds and "reward/native" in run.curves:
        by_column["episode_return_mean"] = thresholds["mean_return"]
    return by_column


def validation_metric(run: JudgedRun) -> str | None:
    """The metric that chose the judged snapshot."""
    validation = run.config.get("validation")
    metric = validation.get("metric") if isinstance(validation, dict) else None
    return metric if isinstance(metric, str) else None


def reward_terms(run: JudgedRun) -> list[tuple[str, str]]:
    """The settings of every reward term."""
    reward = run.config.get("reward")
    terms = reward.get("terms") if isinstance(reward, dict) else None
    return flat(terms, max_rows=100) if isinstance(terms, dict) else []


def provenance(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """`run.json` as dotted names and values."""
    return flat({key: info[key] for key in PROVENANCE if info.get(key) is not None})


def _suite(suite: SuiteVerdict) -> dict[str, Any]:
    return {
        "verdict": suite,
        "criteria": criterion_rows.criteria(suite),
        "plumbing": criterion_rows.plumbing(suite),
        "checks": criterion_rows.checks(suite),
        "reasons": criterion_rows.reasons(suite),
        "sampled": any(not verdicts.is_point(row.interval) for row in suite.criteria if row.interval),
        "waiting": next((row.detail for row in suite.criteria if row.decision == "NEEDS_RUNS"), ""),
    }


def _behaviour_of(run: JudgedRun, trust: bool, missing: list[str]) -> Behaviour | None:
    """Episodes of the judged policy; None if playing fails, with a sentence in `missing`."""
    if run.info.get("snapshot") is None and not run.snapshots():
        missing.append("the run has no snapshot, so its policy cannot be shown")
        return None
    try:
        return observe(run, trust=trust)
    except Exception as error:  # the environment or its data may be anyone's
        missing.append(error_sentence("the policy at play", error))
    return None


def _behaviour_section(behaviour: Behaviour, missing: list[str]) -> dict[str, Any]:
    section: dict[str, Any] = {"lead": _lead(behaviour), "films": [], "returns": None, "figures": []}
    try:
        section["films"] = animation.films(behaviour)
    except Exception as error:  # the environment draws
        missing.append(error_sentence("the animation", error))
    if behaviour.returns is not None:
        section["returns"] = _returns(behaviour, behaviour.returns)
    try:
        section["figures"] = domain(behaviour.config.name).figures(behaviour)
    except Exception as error:  # the domain may be anyone's
        missing.append(error_sentence(f"figures of {behaviour.config.name}", error))
    return section


def _lead(behaviour: Behaviour) -> str:
    episodes = count(len(behaviour.episodes))
    if behaviour.part == "validation":
        cases = f", {count(len(behaviour.episodes.episode))} cases" if behaviour.confusion is not None else ""
        return (
            f"The judged policy, greedy, on {episodes} episodes of the validation part of {_own_data(behaviour)}"
            f"{cases}. "
            "The snapshot was chosen on this part, so the figures are slightly optimistic. "
            "The test set of the gate, which may be other data, is not used."
        )
    return (
        f"The judged policy, greedy, on {episodes} fresh episodes. They are used for this page only: "
        "neither training nor the gate plays them."
    )


def _own_data(behaviour: Behaviour) -> str:
    """The data that the run was trained on, by the files that its config names."""
    keys = domain(behaviour.config.name).location_keys
    places = [str(place) for key in keys if (place := getattr(behaviour.config, key)) is not None]
    return f"the run's own data ({', '.join(places)})" if places else "the run's own data"


def _returns(behaviour: Behaviour, returns: np.ndarray) -> dict[str, Any]:
    success = getattr(behaviour.config, "success_return", None)
    rule = (float(success), f"success: {number(success)}") if isinstance(success, int | float) else None
    caption = (
        f"One dot per episode: median {number(float(np.median(returns)))}, lowest {number(float(returns.min()))}, "
        f"highest {number(float(returns.max()))}"
    )
    if rule is not None:
        caption += f"; {percent(float((returns >= rule[0]).mean()), 0)} reach {number(rule[0])}"
    chart = charts.strip(returns, f"Returns. {caption}.", rule=rule, x_label="return")
    return {"chart": chart, "caption": f"{caption}."}
