"""The seeded bugs of each build of the embedded service: a schedule drawn from a seed.

It is a Markov process over builds that imitates changes to a real product:

- **Heat.** The tendency of each component to change drifts: its logarithm is an autoregressive walk
  (`h ← .9 h + .5 ε`, ε standard normal), so components are changed often for a while and then rarely.
- **Changes.** A build changes each component with probability `min(.9, 1.6 e^h / Σ e^h + .05)`, about two at a time.
- **Introduction.** Each absent bug of a changed component is introduced with probability .2, or .3 if an earlier
  build had it (a regression), while there are fewer than 6 bugs.
- **Repair.** A bug lives 1 to 5 builds, drawn at its introduction: 1, 2, 3, 4, 5 with probabilities .3 .25 .2 .15 .1.
  It never returns in the build that repairs it.
- A build without bugs gets one, in the hottest component that can have one.

So a build has 1 to 6 bugs, about 3 of 24 on average, and bugs come in groups by component.
"""

from __future__ import annotations

import numpy as np

from rl_eval.domains.qase.service.bugs import BUG_IDS, BUGS

MAX_BUGS = 6
_DRIFT, _NOISE = 0.9, 0.5
_CHANGES, _FLOOR, _CEILING = 1.6, 0.05, 0.9
_NEW, _AGAIN = 0.2, 0.3
_LIVES = np.cumsum([0.3, 0.25, 0.2, 0.15, 0.1])


def draw_builds(seed: int, n: int) -> np.ndarray:
    """The bugs of the first `n` builds: bool `[n, B]`, in the order of `BUG_IDS`.

    The same seed gives the same builds, and `draw_builds(s, n)[:m] == draw_builds(s, m)`.
    """
    names = sorted({bug.component for bug in BUGS})
    component = np.array([names.index(bug.component) for bug in BUGS])
    rng = np.random.default_rng(seed)
    heat = rng.normal(0.0, _NOISE / np.sqrt(1 - _DRIFT**2), len(names))  # stationary distribution of the walk
    builds_left = np.zeros(len(BUGS), np.int64)  # remaining builds of each bug
    seen_before = np.zeros(len(BUGS), bool)
    schedule = np.zeros((n, len(BUGS)), bool)
    for build in range(n):
        heat = _DRIFT * heat + _NOISE * rng.normal(size=len(names))
        # Always the same number of draws, so that a build does not depend on how many follow.
        changing, introduced, order = rng.random(len(names)), rng.random(len(BUGS)), rng.random(len(BUGS))
        life = 1 + np.searchsorted(_LIVES, rng.random(len(BUGS)), side="right").clip(max=len(_LIVES) - 1)
        share = np.exp(heat - heat.max())
        changed = changing < np.minimum(_CEILING, _CHANGES * share / share.sum() + _FLOOR)
        repaired = builds_left == 1
        builds_left = np.maximum(builds_left - 1, 0)
        free = (builds_left == 0) & ~repaired
        chance = np.where(seen_before, _AGAIN, _NEW)
        candidates = np.flatnonzero(free & changed[component] & (introduced < chance))
        room = MAX_BUGS - int((builds_left > 0).sum())
        new_bugs = candidates[np.argsort(order[candidates])][:room]
        if not len(new_bugs) and not builds_left.any():
            new_bugs = np.flatnonzero(free)
            new_bugs = new_bugs[np.lexsort((order[new_bugs], -heat[component[new_bugs]]))][:1]
        builds_left[new_bugs] = life[new_bugs]
        seen_before |= builds_left > 0
        schedule[build] = builds_left > 0
    return schedule


def bug_ids(build: np.ndarray) -> tuple[str, ...]:
    """The ids of the bugs of one build, from its row: bool `[B]`."""
    return tuple(BUG_IDS[i] for i in np.flatnonzero(build))
