"""Episodes as film strips: frames in one image, which the page's style steps through without a script."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval.domains import domain
from rl_eval.envs.gymnasium_vector import GymnasiumVector
from rl_eval.policy import choose_actions
from rl_eval.report.behaviour import MOST_STEPS, Behaviour, Bounded
from rl_eval.report.page import number

COLUMNS, MOST_FRAMES = 8, 64
WIDTH = 320  # pixels of a frame, about
MOST_PIXELS = 4_000_000  # of a frame as it is rendered
MOST_BYTES = 1_800_000  # of all films together, as they stand in the page
_QUALITY = 60


@dataclass(frozen=True)
class Film:
    """One episode.

    Attributes:
        label: which of the episodes it is.
        described: what happens, for those who do not see it.
        source: a `data:` URL of the strip, frames in rows of `columns`.
        ratio: height of a frame by its width.
        seconds: how long it runs.
    """

    label: str
    described: str
    source: str
    columns: int
    rows: int
    ratio: float
    seconds: float


def films(seen: Behaviour) -> list[Film]:
    """The best, the median and the worst episode; empty where the environment draws no images.

    Raises:
        Exception: whatever the environment raises while it draws.
    """
    returns = seen.returns
    env = domain(seen.config.name).renderer(seen.config)
    if env is None or returns is None or not np.isfinite(returns).all():
        return []
    try:
        order = np.argsort(returns, kind="stable")
        chosen = {"Best": order[-1], "Median": order[(len(order) - 1) // 2], "Worst": order[0]}
        if returns.min() == returns.max():
            chosen = {"One like all": order[0]}
        made: list[Film] = []
        for label, index in chosen.items():
            film = _film(seen, env, label, int(index))
            if film is not None and sum(len(each.source) for each in [*made, film]) <= MOST_BYTES:
                made.append(film)
        return made
    finally:
        env.close()


def _film(seen: Behaviour, env: Any, label: str, index: int) -> Film | None:
    """Play one episode again, to the bit: its observations stand where they stood in a batch of the same size."""
    length, seed = int(seen.episodes.lengths[index]), int(seen.episodes.seeds[index])
    every = max(1, math.ceil(length / (MOST_FRAMES - 1)))
    vector = GymnasiumVector([env], autoreset=False)
    obs, infos = vector.reset(seed=[seed])
    batch = np.zeros((seen.copies, *obs.shape[1:]), obs.dtype)
    mask = np.ones((seen.copies, infos["action_mask"].shape[1]), bool) if "action_mask" in infos else None
    acting, frames, returned, done, step = Bounded(seen.acting, MOST_STEPS), [_frame(env)], 0.0, False, 0
    while not done:
        batch[index] = obs[0]
        if mask is not None:
            mask[index] = infos["action_mask"][0]
        actions = choose_actions(acting, batch, True, mask)[index : index + 1]
        obs, rewards, terminated, truncated, infos = vector.step(actions)
        returned, done, step = returned + float(rewards[0]), bool(terminated[0] or truncated[0]), step + 1
        if done or step % every == 0:
            frames.append(_frame(env))
    if any(frame is None for frame in frames):
        return None
    bar = getattr(seen.config, "success_return", None)
    success = "" if bar is None else f", {'a success' if returned >= bar else 'no success'} ({number(bar)} or more)"
    end = "ended by the environment" if terminated[0] else "cut off by the time limit"
    described = f"{label} of {len(seen.episodes)} episodes: return {number(returned)} after {step:,} steps{success}"
    described += f"; {end}."
    rate = env.metadata.get("render_fps")
    rate = float(rate) if isinstance(rate, int | float) and 1 <= rate <= 1000 else 30.0
    rows = math.ceil(len(frames) / COLUMNS)
    source, ratio = _strip([*frames, *[frames[-1]] * (rows * COLUMNS - len(frames))])
    return Film(label, described, source, COLUMNS, rows, ratio, min(max(step / rate, 2.0), 20.0))


def _frame(env: Any) -> Any:
    """What the environment draws, small; None where it draws nothing of use."""
    from PIL import Image

    drawn = np.asarray(env.render())
    if drawn.dtype != np.uint8 or drawn.ndim != 3 or drawn.shape[2] != 3 or not 0 < drawn.size <= 3 * MOST_PIXELS:
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
