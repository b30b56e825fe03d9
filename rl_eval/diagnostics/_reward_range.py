"""A reward whose declared range differs from what its terms and weights allow."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.errors import InputError
from rl_eval.rewards import Range, RewardFunction, as_range, scaled

SLACK = 1e-5  # relative; terms are float32
SOURCE = "interval arithmetic: the range of a weighted sum is the weighted sum of the ranges (Moore 1966)"


@diagnostic
def reward_range(run: DiagnosedRun) -> list[Finding]:
    """The declared range of the reward, or of a term, differs from the attainable or the observed one.

    Reads `reward.range` and the `range` of each term. The range of a weighted sum is the weighted sum of the ranges
    (Moore 1966). Example: parts of 0–50, 0–20, 0–30 and 0–10 weighted .4, .2, .3 and .1 reach 34, and not 110.
    """
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        total = run.setting("reward.range")
        declared = None if total is None else as_range("reward.range", total)
    except InputError as error:
        if run.config.get("reward") is not None:
            run.missing.append(str(error))
        return []
    return [*_wrong_term_ranges(reward), *_outside(run, reward), *_total(reward, declared)]


def _wrong_term_ranges(reward: RewardFunction) -> list[Finding]:
    findings = []
    for name, declared in reward.declared.items():
        attainable: Range | None = getattr(reward.terms[name][1], "range", None)
        if attainable is None or agree(attainable, declared):
            continue
        findings.append(
            Finding(
                name="reward_range",
                severity="warning",
                layer="reward",
                title="the declared range of a reward term is wrong",
                evidence=f"reward.terms.{name} declares {words(declared)}, and its parameters give {words(attainable)}",
                meaning="Weights chosen by the declared ranges give this term another influence than intended.",
                change=f"reward.terms.{name}.range={brackets(attainable)}",
                source=SOURCE,
                certainty=0.95,
                data={"term": name, "declared": list(declared), "attainable": list(attainable)},
            )
        )
    return findings


def _outside(run: DiagnosedRun, reward: RewardFunction) -> list[Finding]:
    findings = []
    for name, attained in attained_ranges(run, reward).items():
        declared = reward.declared.get(name)
        if declared is None:
            continue
        bounds = scaled(declared, reward.terms[name][0])
        slack = SLACK * max(1.0, *map(abs, bounds))
        if attained[0] < bounds[0] - slack or attained[1] > bounds[1] + slack:
            findings.append(
                Finding(
                    name="reward_range",
                    severity="warning",
                    layer="reward",
                    title="a reward term leaves its declared range",
                    evidence=f"reward.terms.{name}, weighted, is declared as {words(bounds)} and took values in "
                    f"{words(attained)}",
                    meaning="The input of the term is not normalised as declared, so the term outweighs the others.",
                    source="the smallest and largest value in the curves and at play, compared with the declaration",
                    certainty=0.95,
                    data={"term": name, "declared": list(bounds), "attained": list(attained)},
                )
            )
    return findings


def _total(reward: RewardFunction, declared: Range | None) -> list[Finding]:
    attainable = reward.attainable()
    if declared is None or attainable is None or agree(declared, attainable):
        return []
    parts = ", ".join(f"{name} {words(bounds)}" for name, bounds in reward.ranges().items() if bounds is not None)
    return [
        Finding(
            name="reward_range",
            severity="warning",
            layer="reward",
            title="the declared range of the reward is not the sum of its terms",
            evidence=f"reward.range declares {words(declared)}, and terms times weights allow {words(attainable)}: "
            f"{parts}",
            meaning="A threshold on the reward that was set by the declared range is too high or too low. Often the "
            "weights were meant for terms normalised to [0, 1], but multiply raw ranges.",
            change=f"reward.range={brackets(attainable)}",
            source=SOURCE,
            certainty=0.95,
            data={"declared": list(declared), "attainable": list(attainable)},
        )
    ]


def attained_ranges(run: DiagnosedRun, reward: RewardFunction) -> dict[str, Range]:
    """Term -> smallest and largest weighted value: means in the curves, and single steps at play."""
    observed: dict[str, list[np.ndarray]] = {name: [run.curve(f"reward/{name}")] for name in reward.terms}
    if reward.declared and run.played is not None:
        try:
            _, parts = reward(run.played.episodes.outcome)
            for name, values in parts.items():
                observed[name].append(values[np.isfinite(values)])
        except InputError as error:
            run.missing.append(str(error))
    joined = {name: np.concatenate(values) for name, values in observed.items()}
    return {name: (float(values.min()), float(values.max())) for name, values in joined.items() if len(values)}


def agree(a: Range, b: Range) -> bool:
    """Whether two ranges are equal up to rounding."""
    slack = SLACK * max(1.0, *map(abs, a), *map(abs, b))
    return abs(a[0] - b[0]) <= slack and abs(a[1] - b[1]) <= slack


def words(bounds: Range) -> str:
    """A range in a sentence."""
    return f"{bounds[0]:.4g} to {bounds[1]:.4g}"


def brackets(bounds: Range) -> str:
    """A range in an override."""
    return f"[{bounds[0]:.6g},{bounds[1]:.6g}]"
