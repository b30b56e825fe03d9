"""The score of each run: its judged snapshot on episodes that all runs play, or the result that W&B recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.vector import VectorEnv

from rl_eval import domains, judged_policy, seeding
from rl_eval.compare.compared_run import ComparedRun
from rl_eval.compare.groups import ComparisonTask, RunGroup
from rl_eval.compare.statistics import GroupScores, contributions
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS, count_cases
from rl_eval.extras import imports_of_extra
from rl_eval.metrics import Metric
from rl_eval.rollout import Episodes, play

DEFAULT_EPISODES = 100

# Called with the number of episodes so far, and of all episodes.
OnEpisodes = Callable[[int, int], None]


def play_groups(
    groups: Sequence[RunGroup],
    task: ComparisonTask,
    *,
    part: Literal["test", "validation"],
    episodes: int | None,
    trust: bool = False,
    on_episodes: OnEpisodes | None = None,
) -> tuple[list[GroupScores], int]:
    """The scores of every group on one stream of episodes, played greedily, and the number of episodes.

    The stream (`compare`) depends only on the environment. It is separate from training, validation and every gate,
    and the same for every comparison. Where the data is finite, the stream is a part of it in an order of its own.

    Args:
        part: which part, where the data is finite.
        episodes: how many to play; None: 100, or all where the data is finite.
        trust: whether the module of a `module:` environment may be imported.
        on_episodes: called with the number of episodes so far, and of all episodes.

    Raises:
        InputError: the environment cannot be made, a snapshot is missing or damaged, or the metric is undefined.
    """
    with imports_of_extra("train", "comparing runs on the same episodes"):
        from threadpoolctl import threadpool_limits

    env = task.env
    assert env is not None
    if not trust and (why := domains.needs_trust(env)):
        raise InputError(f"{why}: add --trust if you trust where it comes from")
    problem = metric_problem(task.metric, env)
    if problem:
        raise InputError(problem)
    _refuse_changed_data(groups[0].runs[0], env)
    limit = domains.domain(env.name).episodes(env, part)
    count = min(episodes or limit or DEFAULT_EPISODES, limit or episodes or DEFAULT_EPISODES)
    seed = seeding.gate_seed("compare", json.dumps(domains.identity(env), separators=(",", ":")))
    seeds = list(range(count)) if limit is not None else seeding.episode_seeds(seed, count, "compare")
    max_envs = domains.domain(env.name).most_copies(env)
    # Policies may have been trained on observations that were fitted to other data.
    vectors: dict[str, VectorEnv] = {}
    total, done, scores = count * sum(len(group.runs) for group in groups), 0, []
    # On matrices this small, a second BLAS thread costs more time than it saves.
    limits = threadpool_limits(1, user_api="blas")
    try:
        for group in groups:
            values, episode_parts = [], []
            for run in group.runs:
                assert run.record is not None
                own_env = domains.with_fitted_keys(env, domains.validate(run.section("env")))
                key = own_env.model_dump_json()
                if key not in vectors:
                    vectors[key] = domains.make(own_env, n_envs=min(count, max_envs), part=part, autoreset=False)
                vector = vectors[key]
                run_policy = judged_policy.load(run.record.path, own_env, vector, seed=seed)
                value, per_episode = score_episodes(play(vector, run_policy, seeds=seeds, order=seed), task.metric, env)
                values.append(value)
                episode_parts.append(per_episode)
                done += count
                if on_episodes:
                    on_episodes(done, total)
            arrays = [per_episode for per_episode in episode_parts if per_episode is not None]
            table = np.stack(arrays) if len(arrays) == len(episode_parts) else None
            scores.append(GroupScores(np.array(values), group.seeds, table))
    finally:
        limits.restore_original_limits()
        for vector in vectors.values():
            vector.close()
    return scores, count


def score_episodes(episodes: Episodes, metric: Metric, env: EnvConfig) -> tuple[float, np.ndarray | None]:
    """The metric, and `[E]` what each episode contributes to it; None if it is neither a mean nor a ratio.

    Raises:
        MetricUndefined: it has no value on these episodes.
    """
    value = float(metric.compute(episodes, env))
    if metric.name in RATIO_METRICS:
        counts = count_cases(metric.name, episodes.outcome["label"], episodes.outcome["flagged"], episodes.episode)
        # F1 = 2·TP / (2·TP + FP + FN); the other metrics are hits / informative
        hits = counts.hits * 2.0 if metric.name == "f1" else counts.hits
        return value, contributions(hits, counts.informative + (counts.hits if metric.name == "f1" else 0))
    if metric.variable is None:
        return value, None
    variable = np.asarray(metric.variable(episodes, env), np.float64)
    if metric.unit == "episode":
        defined = ~np.isnan(variable)
        return value, variable if defined.all() else contributions(np.where(defined, variable, 0.0), defined)
    summed = np.bincount(episodes.episode, weights=variable, minlength=len(episodes))
    return value, contributions(summed, np.bincount(episodes.episode, minlength=len(episodes)))


def metric_problem(metric: Metric, env: EnvConfig) -> str | None:
    """Why a metric cannot be computed on an environment; None if it can."""
    facts = domains.domain(env.name).facts(env)
    missing = [name for name in metric.needs if name not in facts]
    if missing:
        return f"{metric.name} reads {missing[0]!r}, which {env.name} does not report: name another with --metric"
    unset = [key for key in metric.settings if getattr(env, key, None) is None]
    return (
        f"{metric.name} needs env.{unset[0]}, which is null in these runs: name another with --metric"
        if unset
        else None
    )


def _refuse_changed_data(run: ComparedRun, env: EnvConfig) -> None:
    before: Any = run.record.info.get("data_fingerprints") if run.record else None
    if not isinstance(before, dict) or not before:
        return
    now = domains.domain(env.name).fingerprints(env)
    changed = [part for part in now if before.get(part) != now[part]]
    if changed:
        raise InputError(
            f"the {changed[0]} part of the data is not the data of {run.name} (its fingerprint differs): "
            "put the files back, or train again"
        )


def recorded_scores(groups: Sequence[RunGroup], metric: Metric) -> list[GroupScores]:
    """The final results that the runs recorded; each run played its own validation episodes.

    Raises:
        InputError: a run has none of this metric.
    """
    scores = []
    for group in groups:
        for run in group.runs:
            if metric.name not in run.results:
                recorded = ", ".join(sorted(run.results)) or "none"
                raise InputError(
                    f"{run.name} has no recorded result {metric.name!r} (it has {recorded}): name another with --metric"
                )
        scores.append(GroupScores(np.array([run.results[metric.name] for run in group.runs])))
    return scores


def require_range(bounds: tuple[float, float] | None) -> None:
    """Refuse bounds that are not a range.

    Raises:
        InputError: they are not finite, or the first is not below the second.
    """
    if bounds is not None and not (math.isfinite(bounds[0]) and math.isfinite(bounds[1]) and bounds[0] < bounds[1]):
        raise InputError(
            f"--bounds {bounds[0]:g} {bounds[1]:g} is not a range: give the lowest and the highest possible score of "
            "a run"
        )


def score_bounds(
    scores: Sequence[GroupScores], task: ComparisonTask, bounds: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The least and the most that a run can score; None if they are not known.

    Args:
        bounds: as given by the user, after `require_range`; None: those of the metric.

    Raises:
        InputError: a run scored outside of them.
    """
    metric = task.metric
    if bounds is None:
        if metric.name in RATIO_METRICS:
            return 0.0, 1.0
        bounded = task.env is not None and metric.bounds is not None and metric.variable is not None
        declared = metric.bounds(task.env) if bounded and metric.bounds is not None else None
        return None if declared is None else (float(declared[0]), float(declared[1]))
    low, high = bounds
    values = np.concatenate([group.values for group in scores])
    outside = values[(values < low) | (values > high)]
    if len(outside):
        raise InputError(
            f"a run scored {outside[0]:g}, outside --bounds {low:g} {high:g}: give bounds that hold for every run"
        )
    return low, high
