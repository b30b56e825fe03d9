"""A reward that is earned while the task goes worse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._overfits import overfits
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from rl_eval.domains import EnvConfig
    from rl_eval.rewards import RewardFunction
    from rl_eval.rollout import Episodes

P_TREND = 0.05
FEWEST = 8  # tries on the validation part: six blocks of a trend test, and two to spare
FEWEST_EPISODES = 20  # for a z over episodes
Z = 3.09  # one-sided p = .001


@dataclass(frozen=True)
class Opposed:
    """A reward that rose while the task metric got worse.

    Attributes:
        column: of the reward.
        p_reward, p_metric: of the rise, and of the metric's worsening.
        tau: Kendall's rank correlation between them over the tries, negative where they part.
    """

    column: str
    p_reward: float
    p_metric: float
    tau: float


@dataclass(frozen=True)
class WorseThanChance:
    """The judged policy against random actions on the same episodes.

    Attributes:
        term: that it earns most more of.
        earned, earned_at_random: mean return of an episode in the training reward.
        metric, metric_at_random: mean of the task metric.
        z_reward, z_metric: of the paired differences, both positive: paid more, and worse at the task.
    """

    term: str
    earned: float
    earned_at_random: float
    metric: float
    metric_at_random: float
    z_reward: float
    z_metric: float


@diagnostic
def reward_hacking(run: DiagnosedRun) -> Finding | None:
    """The reward rises while the task metric on the validation part gets worse, or is worse than random actions'."""
    metric, sign = _task_metric(run)
    if metric is None:
        return None
    chance = worse_than_chance(run, metric, sign)
    if chance is not None:
        told = (
            f"the judged policy earns {chance.earned:.4g} an episode, random actions {chance.earned_at_random:.4g} "
            f"(z = {chance.z_reward:.1f}), yet its {metric} is {chance.metric:.4g} against "
            f"{chance.metric_at_random:.4g} (z = {chance.z_metric:.1f})"
        )
        return _finding(run, metric, chance.term, told, vars(chance))
    found = opposed(run, sign)
    # On cases learned by heart the reward rises as well while validation gets worse, and the reward is not at fault.
    if not found or overfits(run):
        return None
    worst = min(found, key=lambda each: max(each.p_reward, each.p_metric))
    told = "; ".join(
        f"{each.column} rose (p = {each.p_reward:.2g}) while {metric} got worse on validation "
        f"(p = {each.p_metric:.2g}), "
        f"rank correlation {each.tau:.2f}"
        for each in found
    )
    data = {"opposed": [vars(each) for each in found]}
    return _finding(run, metric, worst.column.removeprefix("reward/"), told, data)


def _finding(run: DiagnosedRun, metric: str, term: str, told: str, data: dict[str, Any]) -> Finding:
    terms = run.setting("reward.terms")
    several = isinstance(terms, dict) and len(terms) > 1 and term in terms
    return Finding(
        name="reward_hacking",
        severity="problem",
        layer="reward",
        title="the reward rises while the task gets worse",
        evidence=told,
        meaning=f"The agent found a way to be paid that is not the task: {term} pays for something else than {metric} "
        "measures. Look at what it does in the steps that pay most, and correct the term.",
        change=f"reward.terms.{term}.weight=0" if several else None,
        source="paired z over episodes against random actions, both above 3.09, p = .001; or block permutation tests "
        "of both trends over the tries on validation, each p <= .05, which needs no correction (Berger 1982)",
        certainty=0.9,
        data={"metric": metric, **data},
    )


def worse_than_chance(run: DiagnosedRun, metric: str, sign: float) -> WorseThanChance | None:
    """The judged policy where it is paid more than random actions, and does the task worse; None elsewhere."""
    from rl_eval import domains
    from rl_eval.metrics import lookup
    from rl_eval.policy import Random
    from rl_eval.rewards import RewardFunction
    from rl_eval.rollout import play

    played = run.played
    if played is None or len(played.episodes) < FEWEST_EPISODES:
        return None
    vector = domains.make(played.config, n_envs=len(played.episodes), part="validation", autoreset=False)
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        random = Random(vector.single_action_space, run.seed)
        seeds = [int(seed) for seed in played.episodes.seeds]
        chance = play(vector, random, seeds=seeds, order=run.seed)
        earned, at_random = (_returns(reward, episodes) for episodes in (played.episodes, chance))
        compute = lookup(metric).compute
        scores = [_per_episode(compute, episodes, played.config) for episodes in (played.episodes, chance)]
    except InputError as error:
        run.missing.append(f"random actions at play: {error}")
        return None
    finally:
        vector.close()
    more = sum(earned.values()) - sum(at_random.values())
    worse = sign * (scores[1] - scores[0])
    z_reward, z_metric = paired_z(np.asarray(more)), paired_z(worse)
    if not (z_reward > Z and z_metric > Z):
        return None
    term = max(earned, key=lambda name: float((earned[name] - at_random[name]).mean()))
    return WorseThanChance(
        term,
        float(np.mean(sum(earned.values()))),
        float(np.mean(sum(at_random.values()))),
        float(np.nanmean(scores[0])),
        float(np.nanmean(scores[1])),
        z_reward,
        z_metric,
    )


def paired_z(differences: np.ndarray) -> float:
    """The mean over its standard error, of the differences that are finite; 0 for too few."""
    known = differences[np.isfinite(differences)]
    if len(known) < FEWEST_EPISODES:
        return 0.0
    error = float(known.std(ddof=1)) / len(known) ** 0.5
    mean = float(known.mean())
    return mean / error if error else float(np.sign(mean)) * float("inf") if mean else 0.0


def _returns(reward: RewardFunction, episodes: Episodes) -> dict[str, np.ndarray]:
    """Term -> `[E]` what it paid in each episode."""
    _, parts = reward(episodes.outcome)
    return {
        name: np.bincount(episodes.episode, weights=values, minlength=len(episodes)) for name, values in parts.items()
    }


def _per_episode(compute: Callable[..., float], episodes: Episodes, config: EnvConfig) -> np.ndarray:
    """`[E]` a task metric of each episode; NaN where it has no value."""
    from rl_eval.metrics import MetricUndefined

    values = np.full(len(episodes), np.nan)
    for index in range(len(episodes)):
        with contextlib.suppress(MetricUndefined):
            values[index] = compute(episodes.between(index, index + 1), config)
    return values


def opposed(run: DiagnosedRun, sign: float) -> list[Opposed]:
    """The reward columns that rise while the score on validation, times sign, falls."""
    curves = run.curves
    if "validation_score" not in curves:
        return []
    scored = sign * curves["validation_score"]
    tries = _tries(scored)
    if len(tries) < FEWEST:
        return []
    score = scored[tries]
    p_metric = _p_rises(-score)
    if p_metric > P_TREND:
        return []
    found = []
    for column in (name for name in curves if name.startswith("reward/")):
        paid = _between(curves[column], tries)
        if not np.isfinite(paid).all():
            continue
        p_reward = _p_rises(paid)
        if p_reward <= P_TREND:
            found.append(Opposed(column, p_reward, p_metric, kendall_tau(paid, score)))
    return found


def kendall_tau(a: np.ndarray, b: np.ndarray) -> float:
    """Concordant less discordant pairs, over all pairs, of two series `[n]`."""
    upper = np.triu_indices(len(a), k=1)
    signs = np.sign(a[:, None] - a)[upper] * np.sign(b[:, None] - b)[upper]
    return float(signs.mean())


def _task_metric(run: DiagnosedRun) -> tuple[str | None, float]:
    """The selection metric and which way it gets better; None where it is the reward itself, or unknown."""
    from rl_eval.metrics import lookup

    name = run.setting("validation.metric")
    terms = run.setting("reward.terms")
    if not isinstance(name, str) or not isinstance(terms, dict):
        return None, 1.0
    try:
        better = lookup(name).better
    except InputError:
        return None, 1.0
    if better is None or (name in ("mean_return", "median_return", "min_return") and list(terms) == ["native"]):
        return None, 1.0
    return name, 1.0 if better == "higher" else -1.0


def _tries(scored: np.ndarray) -> np.ndarray:
    """The rows that follow a new try on the validation part."""
    known = np.isfinite(scored)
    before = np.concatenate([[np.nan], scored[:-1]])
    return np.flatnonzero(known & (scored != before))


def _between(values: np.ndarray, tries: np.ndarray) -> np.ndarray:
    """`[K]` the mean of the rows since the try before, for each try."""
    starts = np.concatenate([[0], tries[:-1] + 1])
    with np.errstate(invalid="ignore"):
        known = [values[a : b + 1][np.isfinite(values[a : b + 1])] for a, b in zip(starts, tries, strict=True)]
        return np.array([part.mean() if len(part) else np.nan for part in known])


def _p_rises(values: np.ndarray) -> float:
    from rl_eval.evidence import trend

    try:
        return trend(values).p_value
    except InputError:
        return 1.0
