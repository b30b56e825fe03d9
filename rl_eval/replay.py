"""Replay one episode of the judged policy of a run: its steps, its outcome, and a film where the environment draws."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rl_eval import domains, judged_policy
from rl_eval.domains import EnvConfig
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.errors import TRUST_IT, InputError
from rl_eval.extras import require_extra
from rl_eval.gates import load_suite
from rl_eval.gates.suite_data import environment_to_judge, with_preprocessing_of
from rl_eval.plugins import require_plugins_of_run
from rl_eval.policy import Policy
from rl_eval.report.animation import film_file, frame_of
from rl_eval.rollout import Episodes, play
from rl_eval.run import Run, environment_of, read_run, write_bytes

MAX_STEPS = 100_000
MAX_FRAMES = 600


@dataclass(frozen=True)
class Replay:
    """One episode.

    Attributes:
        part: of the data; an environment without data has episodes of the same kind in each.
        actions: `[S, ...]` of each step.
        action_names: of discrete actions, where the domain names them.
        episode: its facts.
        film: a file; None if the environment draws no images.
        film_differs: whether the episode went another way when it was drawn, so that there is no film.
    """

    run: Run
    config: EnvConfig
    part: str
    seed: int
    actions: np.ndarray
    action_names: tuple[str, ...]
    episode: Episodes = field(repr=False)
    film: Path | None = None
    film_differs: bool = False

    @property
    def steps(self) -> int:
        """How many there are, S."""
        return int(self.episode.lengths[0])

    @property
    def terminated(self) -> bool:
        """Whether it ended in a terminal state; else a limit cut it off."""
        return bool(self.episode.terminated[0])

    @property
    def totals(self) -> Mapping[str, float]:
        """Fact -> its sum over the steps, for facts that are numbers."""
        return {
            name: float(values.sum())
            for name, values in self.episode.outcome.items()
            if values.ndim == 1 and values.dtype.kind in "biuf"
        }

    def action_text(self, step: int) -> str:
        """The action of a step, by its name if it has one."""
        action = self.actions[step]
        if action.ndim == 0 and action.dtype.kind in "iu" and 0 <= int(action) < len(self.action_names):
            return self.action_names[int(action)]
        return np.array2string(action, precision=4, threshold=20) if action.ndim else str(action)


def replay(
    path: Path,
    seed: int,
    *,
    suite: Path | None = None,
    part: Literal["train", "validation", "test"] = "test",
    film: bool = True,
    trust: bool = False,
) -> Replay:
    """Play one episode of the judged policy, as a gate plays it.

    Args:
        seed: of the environment; of a finite part, the index of the episode.
        suite: the suite whose test set it is. Data and the order of a finite set are the suite's then.
        film: write one to `replays/` in the run directory, if the environment draws images.
        trust: whether the run or suite may import code from elsewhere.

    Raises:
        InputError: the run, the suite or the episode cannot be played.
    """
    run = read_run(path)
    require_plugins_of_run(run.path, run.config, trust=trust)
    config, order, greedy = environment_of(run), run.config.get("seed") or 0, True
    if suite is not None:
        judged = load_suite(suite, trust=trust)
        config = with_preprocessing_of(judged, environment_to_judge(judged, run), str(run.path.resolve()))
        order, greedy, part = judged.gate_seed, judged.spec.policy == "greedy", judged.part
    if not trust and (why := domains.needs_trust(config)):
        raise InputError(f"{why}: {TRUST_IT}")
    domain = domains.domain(config.name)
    limit = domain.episodes(config, part)
    if not 0 <= seed < (1 << 31 if limit is None else limit):
        allowed = "2,147,483,647" if limit is None else f"{limit - 1:,}, the last episode of the {part} part"
        raise InputError(f"--seed {seed} does not exist: give a whole number from 0 to {allowed}")
    config = domain.in_one_process(config)
    vector = domains.make(config, n_envs=1, part=part, autoreset=False)
    try:
        acting = _Recording(judged_policy.load(run.path, config, vector, seed=order), MAX_STEPS)
        episode = play(vector, acting, seeds=[seed], greedy=greedy, order=order, first=0 if limit is None else seed)
    finally:
        vector.close()
    names = tuple(str(name) for name in domain.action_names(config))
    done = Replay(run, config, part, seed, np.concatenate(acting.actions), names, episode)
    return _with_film(done, acting.policy, greedy, order) if film else done


class _Recording(judged_policy.LimitedPolicy):
    """A policy whose actions are kept."""

    def __init__(self, policy: Policy, max_steps: int):
        super().__init__(policy, max_steps)
        self.policy, self.actions = policy, list[np.ndarray]()

    def act(self, *arguments: Any, **named: Any) -> np.ndarray:
        """The actions of the policy."""
        actions = super().act(*arguments, **named)
        self.actions.append(np.array(actions))
        return actions


def _with_film(done: Replay, policy: Policy, greedy: bool, order: int) -> Replay:
    env = domains.domain(done.config.name).renderer(done.config)
    if env is None:
        return done
    require_extra("train", "a film of an episode", "PIL")
    every, frames = max(1, math.ceil(done.steps / MAX_FRAMES)), list[Any]()
    try:
        drawn = _Drawing(policy, env, every, frames)
        again = play(GymnasiumVector([env], autoreset=False), drawn, seeds=[done.seed], greedy=greedy, order=order)
        frames.append(frame_of(env))
        rate = env.metadata.get("render_fps")
    finally:
        env.close()
    same = again.lengths[0] == done.steps and again.terminated[0] == done.episode.terminated[0]
    if not same or any(frame is None for frame in frames):
        return Replay(**{**vars(done), "film_differs": not same})
    rate = float(rate) if isinstance(rate, int | float) and 1 <= rate <= 1000 else 30.0
    written = io.BytesIO()
    frames[0].save(
        written, "WEBP", save_all=True, append_images=frames[1:], duration=round(1000 * every / rate), loop=0,
        quality=60, method=0,
    )  # fmt: skip
    file = film_file(done.run.path, done.part, done.seed)
    if file.parent.is_symlink():
        raise InputError(f"{file.parent} is a link: remove it, since films are written into it")
    file.parent.mkdir(exist_ok=True)
    write_bytes(file, written.getvalue())
    return Replay(**{**vars(done), "film": file})


class _Drawing(judged_policy.LimitedPolicy):
    """A policy that draws the environment before each action, or every few."""

    def __init__(self, policy: Policy, env: Any, every: int, frames: list[Any]):
        super().__init__(policy, MAX_STEPS)
        self._env, self._every, self._frames, self._acted = env, every, frames, 0

    def act(self, *arguments: Any, **named: Any) -> np.ndarray:
        """The actions of the policy."""
        if self._acted % self._every == 0:
            self._frames.append(frame_of(self._env))
        self._acted += 1
        return super().act(*arguments, **named)
