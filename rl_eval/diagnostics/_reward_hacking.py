"""A reward that rises while the task gets worse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval import domains
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._overfits import overfits
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.evidence import trend
from rl_eval.metrics import MetricUndefined, lookup
from rl_eval.policy import Random
from rl_eval.rewards import RewardFunction
from rl_eval.rollout import Episodes, play

P_TREND = 0.05
MIN_SCORES = 8  # on the validation part: the six that a trend test takes, and two more
MIN_EPISODES = 20  # for a z over episodes
Z = 3.09  # one-sided p = .001


@dataclass(frozen=True)
class Opposed:
    """A reward that rose while the task metric got worse.

    Attributes:
        column: of the reward.
        p_reward, p_metric: p-values of the rise of the reward, and of the decline of the metric.
        tau: Kendall's rank correlation between them over the scores, negative if they diverge.
    """

    column: str
    p_reward: float
    p_metric: float
    tau: float


@dataclass(frozen=True)
class WorseThanChance:
    """The judged policy and random actions on the same episodes.

    Attributes:
        term: the reward term with the largest advantage over random actions.
        earned, earned_at_random: mean return of an episode in the training reward.
        metric, metric_at_random: mean of the task metric.
        z_reward, z_metric: of the paired differences, both positive: more reward, and worse at the task.
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
    """The reward rises while the task metric on the validation part gets worse, or is worse than at random.

    Either: the judged policy earns more than random actions on the same validation episodes and has a worse metric,
    each with a paired z above 3.09. Or: over at least 8 validation scores a column `reward/<term>` rises and the metric
    gets worse, each by a trend test at .05 that allows for autocorrelation; requiring both needs no correction (Berger
    1982). Not reported if the policy overfits, which looks similar. Try `reward.terms.<term>.weight=0`, then correct
    the term.
    """
    metric, sign = _task_metric(run)
    if metric is None:
        return None
    chance = worse_than_chance(run, metric, sign)
    if chance is not None:
        evidence = (
            f"the judged policy earns {chance.earned:.4g} an episode, random actions {chance.earned_at_random:.4g} "
            f"(z = {chance.z_reward:.1f}), yet its {metric} is {chance.metric:.4g} against "
            f"{chance.metric_at_random:.4g} (z = {chance.z_metric:.1f})"
        )
        return _finding(run, metric, chance.term, evidence, vars(chance))
    columns = opposed(run, sign)
    # With memorised cases the reward also rises while validation gets worse, but the reward is not the cause.
    if not columns or overfits(run):
        return None
    worst = min(columns, key=lambda entry: max(entry.p_reward, entry.p_metric))
    evidence = "; ".join(
        f"{entry.column} rose (p = {entry.p_reward:.2g}) while {metric} got worse on validation "
        f"(p = {entry.p_metric:.2g}), rank correlation {entry.tau:.2f}"
        for entry in columns
    )
    data = {"opposed": [vars(entry) for entry in columns]}
    return _finding(run, metric, worst.column.removeprefix("reward/"), evidence, data)


def _finding(run: DiagnosedRun, metric: str, term: str, evidence: str, data: dict[str, Any]) -> Finding:
    terms = run.setting("reward.terms")
    several = isinstance(terms, dict) and len(terms) > 1 and term in terms
    return Finding(
        name="reward_hacking",
        severity="problem",
        layer="reward",
        title="the reward rises while the task gets worse",
        evidence=evidence,
        meaning=f"The agent earns reward without solving the task: {term} rewards something else than {metric} "
        "measures. Look at its actions in the steps with the highest reward, and correct the term.",
        change=f"reward.terms.{term}.weight=0" if several else None,
        source="paired z over episodes against random actions, both above 3.09, p = .001; or tests "
        "of both trends over the scores on validation, each p <= .05, which needs no correction (Berger 1982)",
        certainty=0.9,
        data={"metric": metric, **data},
    )


def worse_than_chance(run: DiagnosedRun, metric: str, sign: float) -> WorseThanChance | None:
    """The comparison with random actions if the judged policy earns more and does the task worse; else None."""
    played = run.played
    if played is None or len(played.episodes) < MIN_EPISODES:
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
        run.add_missing("random actions at play", error)
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
    """The mean of the finite differences divided by its standard error; 0 for too few."""
    finite = differences[np.isfinite(differences)]
    if len(finite) < MIN_EPISODES:
        return 0.0
    error = float(finite.std(ddof=1)) / len(finite) ** 0.5
    mean = float(finite.mean())
    return mean / error if error else float(np.sign(mean)) * float("inf") if mean else 0.0


def _returns(reward: RewardFunction, episodes: Episodes) -> dict[str, np.ndarray]:
    """Term -> `[E]` its return in each episode."""
    _, parts = reward(episodes.outcome)
    return {
        name: np.bincount(episodes.episode, weights=values, minlength=len(episodes)) for name, values in parts.items()
    }


def _per_episode(compute: Callable[..., float], episodes: Episodes, config: EnvConfig) -> np.ndarray:
    """`[E]` a task metric of each episode; NaN if it is undefined."""
    values = np.full(len(episodes), np.nan)
    for index in range(len(episodes)):
        with contextlib.suppress(MetricUndefined):
            values[index] = compute(episodes.between(index, index + 1), config)
    return values


def opposed(run: DiagnosedRun, sign: float) -> list[Opposed]:
    """The reward columns that rise while the validation score, times sign, falls."""
    curves = run.curves
    if "validation_score" not in curves:
        return []
    logged = sign * curves["validation_score"]
    rows = _score_rows(logged)
    if len(rows) < MIN_SCORES:
        return []
    scores = logged[rows]
    p_metric = _p_rises(-scores)
    if p_metric > P_TREND:
        return []
    columns = []
    for column in (name for name in curves if name.startswith("reward/")):
        rewards = _mean_between(curves[column], rows)
        if not np.isfinite(rewards).all():
            continue
        p_reward = _p_rises(rewards)
        if p_reward <= P_TREND:
            columns.append(Opposed(column, p_reward, p_metric, kendall_tau(rewards, scores)))
    return columns


def kendall_tau(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's τ of two series `[n]`: concordant minus discordant pairs, divided by all pairs."""
    upper = np.triu_indices(len(a), k=1)
    signs = np.sign(a[:, None] - a)[upper] * np.sign(b[:, None] - b)[upper]
    return float(signs.mean())


def _task_metric(run: DiagnosedRun) -> tuple[str | None, float]:
    """The validation metric, and 1 if higher is better or -1; None if it is the reward itself, or unknown."""
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


def _score_rows(scores: np.ndarray) -> np.ndarray:
    """The rows with a new validation score."""
    before = np.concatenate([[np.nan], scores[:-1]])
    return np.flatnonzero(np.isfinite(scores) & (scores != before))


def _mean_between(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`[K]` for each of K rows, the mean of the finite values since the row before it."""
    starts = np.concatenate([[0], rows[:-1] + 1])
    with np.errstate(invalid="ignore"):
        parts = [values[a : b + 1][np.isfinite(values[a : b + 1])] for a, b in zip(starts, rows, strict=True)]
        return np.array([part.mean() if len(part) else np.nan for part in parts])


def _p_rises(values: np.ndarray) -> float:
    try:
        return trend(values).p_value
    except InputError:
        return 1.0
