"""Films of episodes: all frames in one image, animated by the page's style sheet without a script."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains import domain
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.extras import require_extra
from rl_eval.judged_policy import LimitedPolicy
from rl_eval.policy import choose_actions
from rl_eval.report.behaviour import MAX_STEPS, Behaviour
from rl_eval.report.html_page import number

COLUMNS, MAX_FRAMES = 8, 64
WIDTH = 320  # pixels of a frame, about
MAX_PIXELS = 4_000_000  # of a frame as rendered
MAX_BYTES = 1_800_000  # of all films of a page together
_QUALITY = 60


@dataclass(frozen=True)
class Film:
    """One episode.

    Attributes:
        label: which episode it is.
        description: what happens, for people who cannot see it.
        source: a `data:` URL of the image, frames in rows of `columns`.
        ratio: height of a frame divided by its width.
        seconds: duration.
    """

    label: str
    description: str
    source: str
    columns: int
    rows: int
    ratio: float
    seconds: float


def films(behaviour: Behaviour) -> list[Film]:
    """The best, the median and the worst episode; empty if the environment draws no images.

    Raises:
        InputError: Pillow is missing.
        Exception: any that the environment raises while drawing.
    """
    returns = behaviour.returns
    env = domain(behaviour.config.name).renderer(behaviour.config)
    if env is None or returns is None or not np.isfinite(returns).all():
        return []
    try:
        require_extra("train", "a film of an episode", "PIL")
        order = np.argsort(returns, kind="stable")
        episode_of = {"Best": order[-1], "Median": order[(len(order) - 1) // 2], "Worst": order[0]}
        if returns.min() == returns.max():
            episode_of = {"Typical": order[0]}
        rendered: list[Film] = []
        for label, index in episode_of.items():
            new = _film(behaviour, env, label, int(index))
            if new is not None and sum(len(film.source) for film in [*rendered, new]) <= MAX_BYTES:
                rendered.append(new)
        return rendered
    finally:
        env.close()


def _film(behaviour: Behaviour, env: Any, label: str, index: int) -> Film | None:
    """Play one episode again, to the bit: its observations get the same place in a batch of the same size."""
    length, seed = int(behaviour.episodes.lengths[index]), int(behaviour.episodes.seeds[index])
    every = max(1, math.ceil(length / (MAX_FRAMES - 1)))
    vector = GymnasiumVector([env], autoreset=False)
    obs, infos = vector.reset(seed=[seed])
    batch = np.zeros((behaviour.copies, *obs.shape[1:]), obs.dtype)
    mask = np.ones((behaviour.copies, infos["action_mask"].shape[1]), bool) if "action_mask" in infos else None
    limited, frames, returned, done, step = LimitedPolicy(behaviour.policy, MAX_STEPS), [frame_of(env)], 0.0, False, 0
    while not done:
        batch[index] = obs[0]
        if mask is not None:
            mask[index] = infos["action_mask"][0]
        episode_start = np.full(behaviour.copies, step == 0)
        actions = choose_actions(limited, batch, True, mask, episode_start)[index : index + 1]
        obs, rewards, terminated, truncated, infos = vector.step(actions)
        returned, done, step = returned + float(rewards[0]), bool(terminated[0] or truncated[0]), step + 1
        if done or step % every == 0:
            frames.append(frame_of(env))
    if any(frame is None for frame in frames):
        return None
    bar = getattr(behaviour.config, "success_return", None)
    success = "" if bar is None else f", {'a success' if returned >= bar else 'no success'} ({number(bar)} or more)"
    end = "ended by the environment" if terminated[0] else "cut off by the time limit"
    description = (
        f"{label} of {len(behaviour.episodes)} episodes: return {number(returned)} after {step:,} steps{success}"
    )
    description += (
        f"; {end}. {'Seed' if behaviour.part == 'report' else f'Episode of the {behaviour.part} part:'} {seed}."
    )
    rate = env.metadata.get("render_fps")
    rate = float(rate) if isinstance(rate, int | float) and 1 <= rate <= 1000 else 30.0
    rows = math.ceil(len(frames) / COLUMNS)
    source, ratio = _strip([*frames, *[frames[-1]] * (rows * COLUMNS - len(frames))])
    return Film(label, description, source, COLUMNS, rows, ratio, min(max(step / rate, 2.0), 20.0))


def film_file(run: Path, part: str, seed: int) -> Path:
    """Where `rl-eval replay` puts the film of an episode."""
    return run / "replays" / f"{part}_{seed}.webp"


def frame_of(env: Any) -> Any:
    """The environment's image, scaled down; None if it is not an RGB image of a usable size."""
    from PIL import Image

    drawn = np.asarray(env.render())
    if drawn.dtype != np.uint8 or drawn.ndim != 3 or drawn.shape[2] != 3 or not 0 < drawn.size <= 3 * MAX_PIXELS:
        return None
    return Image.fromarray(drawn).reduce(max(1, round(drawn.shape[1] / WIDTH)))  # whole pixels: fast and sharp


def _strip(frames: list[Any]) -> tuple[str, float]:
    from PIL import Image

    width, height = frames[0].size
    rows = len(frames) // COLUMNS
    strip = Image.new("RGB", (width * COLUMNS, height * rows))
    for index, frame in enumerate(frames):
        strip.paste(frame, (index % COLUMNS * width, index // COLUMNS * height))
    written = io.BytesIO()
    strip.save(written, "WEBP", quality=_QUALITY, method=0)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode(), height / width
