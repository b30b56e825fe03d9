"""What each run reached: its judged snapshot on episodes that all of them play, or what W&B has of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rl_eval import envs, policy, seeding
from rl_eval.compare.entry import Entry
from rl_eval.compare.groups import Group, Task
from rl_eval.compare.statistics import Scores, contributions
from rl_eval.envs.base import EnvConfig
from rl_eval.errors import InputError
from rl_eval.evidence import RATIO_METRICS, count_cases
from rl_eval.metrics import Metric
from rl_eval.rollout import Episodes, play

EPISODES = 100
# As gates play: Python steps a Gymnasium copy, numpy steps a domain's.
_COPIES_OF_GYMNASIUM, _COPIES_OF_VECTOR = 32, 256

# Called with the episodes played so far, and their number.
OnEpisodes = Callable[[int, int], None]


def played(
    groups: Sequence[Group],
    task: Task,
    *,
    episodes: int | None,
    trust: bool = False,
    on_episodes: OnEpisodes | None = None,
) -> tuple[list[Scores], int]:
    """The scores of every group, greedy, on one stream of episodes, and how many episodes that is.

    The stream (`compare`) belongs to the environment alone: apart from training, selection and every gate, and the same
    whatever is compared. Where the held-out data is finite, it is that set in an order of its own.

    Args:
        episodes: how many; None: 100, or all where the held-out data is finite.
        trust: whether an environment of `module:` may be imported.
        on_episodes: called with the episodes played so far, and their number.

    Raises:
        InputError: the environment cannot be made, a snapshot is missing or damaged, or the metric is undefined.
    """
    from threadpoolctl import threadpool_limits

    env = task.env
    if not trust and (why := envs.needs_trust(env)):
        raise InputError(f"{why}: add --trust if you trust where it comes from")
    wanted = metric_needs(task.metric, env)
    if wanted:
        raise InputError(wanted)
    _refuse_changed_data(groups[0].entries[0], env)
    limit = envs.episodes_in(env, "gate")
    count = min(episodes or limit or EPISODES, limit or episodes or EPISODES)
    seed = seeding.gate_seed("compare", env.model_dump_json(exclude={"path", "workers", "backend"}))
    seeds = list(range(count)) if limit is not None else seeding.episode_seeds(seed, count, "compare")
    most = _COPIES_OF_GYMNASIUM if isinstance(env, envs.domain("gym").Config) else _COPIES_OF_VECTOR
    vector = envs.make(env, n_envs=min(count, most), part="gate", autoreset=False)
    total, done, scores = count * sum(len(group.entries) for group in groups), 0, []
    # On matrices this small, a second BLAS thread costs more than it does.
    limits = threadpool_limits(1, user_api="blas")
    try:
        spaces = policy.Spaces.of(env, vector)
        for group in groups:
            values, shares = [], []
            for entry in group.entries:
                assert entry.run is not None
                acting = policy.load(str(entry.run.path), spaces, env, seed=seed)
                value, share = scored(play(vector, acting, seeds=seeds, order=seed), task.metric, env)
                values.append(value)
                shares.append(share)
                done += count
                if on_episodes:
                    on_episodes(done, total)
            known = [share for share in shares if share is not None]
            table = np.stack(known) if len(known) == len(shares) else None
            scores.append(Scores(np.array(values), group.seeds, table))
    finally:
        limits.restore_original_limits()
        vector.close()
    return scores, count


def scored(episodes: Episodes, metric: Metric, env: EnvConfig) -> tuple[float, np.ndarray | None]:
    """The metric, and `[E]` what each episode contributes to it; None where it is neither a mean nor a ratio.

    Raises:
        MetricUndefined: it has no value on these episodes.
    """
    value = float(metric.compute(episodes, env))
    if metric.name in RATIO_METRICS:
        found = count_cases(metric.name, episodes.outcome["label"], episodes.outcome["flagged"], episodes.episode)
        # F1 = 2·TP / (2·TP + FP + FN); the others are hits / informative as they are
        hits = found.hits * 2.0 if metric.name == "f1" else found.hits
        return value, contributions(hits, found.informative + (found.hits if metric.name == "f1" else 0))
    if metric.variable is None:
        return value, None
    variable = np.asarray(metric.variable(episodes, env), np.float64)
    if metric.unit == "episode":
        return value, variable
    summed = np.bincount(episodes.episode, weights=variable, minlength=len(episodes))
    return value, contributions(summed, np.bincount(episodes.episode, minlength=len(episodes)))


def metric_needs(metric: Metric, env: EnvConfig) -> str | None:
    """Why an environment cannot serve a metric; None where it can."""
    told = set(envs.domain(env.name).OUTCOME)
    missing = [name for name in metric.needs if name not in told]
    if missing:
        return f"{metric.name} reads {missing[0]!r}, which {env.name} does not tell: name another with --metric"
    unset = [key for key in metric.settings if getattr(env, key, None) is None]
    return (
        f"{metric.name} needs env.{unset[0]}, which is null in these runs: name another with --metric"
        if unset
        else None
    )


def _refuse_changed_data(entry: Entry, env: EnvConfig) -> None:
    before: Any = entry.run.info.get("data_fingerprints") if entry.run else None
    if not isinstance(before, dict) or not before:
        return
    now = envs.domain(env.name).fingerprints(env)
    changed = [part for part in now if before.get(part) != now[part]]
    if changed:
        raise InputError(
            f"the {changed[0]} part of the data is not what {entry.name} was trained beside (its fingerprint differs): "
            "put the files back, or train again"
        )


def recorded(groups: Sequence[Group], metric: Metric) -> list[Scores]:
    """The final results that runs were recorded with, on selection episodes of each run's own.

    Raises:
        InputError: a run has none of this metric.
    """
    scores = []
    for group in groups:
        for entry in group.entries:
            if metric.name not in entry.results:
                known = ", ".join(sorted(entry.results)) or "none"
                raise InputError(
                    f"{entry.name} has no result {metric.name!r} on record (it has {known}): name another with --metric"
                )
        scores.append(Scores(np.array([entry.results[metric.name] for entry in group.entries])))
    return scores
