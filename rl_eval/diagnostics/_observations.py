"""Observations of a run's environment by column: from the data if it is finite, else from episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval import domains
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.policy import Random

MAX_ROWS = 20_000
RANDOM_COPIES = 8
RANDOM_STEPS = 200
MAX_COLUMNS = 2_000  # beyond, there are too many pairs, and columns are pixels rather than features


@dataclass(frozen=True)
class Observed:
    """Observations of one part.

    Attributes:
        rows: `[R, D]`, at most MAX_ROWS.
        names: `[D]` of the columns.
        from_data: whether they are the cases of a finite part, rather than from episodes.
    """

    rows: np.ndarray
    names: tuple[str, ...]
    from_data: bool


def observed(run: DiagnosedRun, part: domains.Part = "train") -> Observed | None:
    """The policy's observations in `train` or `validation`; None if the environment cannot be loaded or played here.

    A finite part gives its cases. Otherwise they are the observations of the judged policy together with those of
    random actions, since a column that one policy never changes may still change.
    """
    config = run.environment
    if config is None:
        return None
    domain = domains.domain(config.name)
    try:
        if domain.has_cases:
            rows = np.asarray(domain.case_observations(config, part), np.float32)
            return _observed(_thinned(rows), run, from_data=True)
        if run.played is None or domain.is_slow(config):  # an application that is somebody's gets no random actions
            return None
        both = np.concatenate([run.played.observations, _at_random(config, run.seed)])
        return _observed(both, run, from_data=False)
    except Exception as error:  # the environment or its data may be anyone's
        run.add_missing("observations", error)
        return None


def _observed(rows: np.ndarray, run: DiagnosedRun, *, from_data: bool) -> Observed | None:
    if rows.ndim != 2 or not rows.size or rows.shape[1] > MAX_COLUMNS:
        return None
    assert run.environment is not None
    names = tuple(f"column {index}" for index in range(rows.shape[1]))
    fitted = domains.domain(run.environment.name).preprocessing(run.environment)
    if fitted is not None:
        fitted_names = [str(name) for name in fitted.get("columns", fitted.get("features", ()))]
        names = tuple(fitted_names + list(names[len(fitted_names) :]))[: rows.shape[1]]
    return Observed(rows, names, from_data)


def _thinned(rows: np.ndarray) -> np.ndarray:
    if len(rows) <= MAX_ROWS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MAX_ROWS).astype(int)]


def _at_random(config: domains.EnvConfig, seed: int) -> np.ndarray:
    """`[R, D]` the observations of random actions."""
    one_process = domains.domain(config.name).in_one_process(config)
    vector = domains.make(one_process, n_envs=RANDOM_COPIES, part="train")
    try:
        vector.action_space.seed(seed & 0x7FFFFFFF)
        obs, infos = vector.reset(seed=seed & 0x7FFFFFFF)
        legal = Random(vector.single_action_space, seed & 0x7FFFFFFF)
        rows = [np.array(obs, np.float32).reshape(RANDOM_COPIES, -1)]
        for _ in range(RANDOM_STEPS):
            mask = infos.get("action_mask")
            actions = vector.action_space.sample() if mask is None else legal.act(obs, False, mask)
            obs, _, _, _, infos = vector.step(actions)
            rows.append(np.array(obs, np.float32).reshape(RANDOM_COPIES, -1))
    finally:
        vector.close()
    return np.concatenate(rows)
