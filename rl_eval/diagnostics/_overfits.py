"""A policy that decides better on the cases it learned from than on others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from gymnasium.spaces import Discrete

from rl_eval import domains
from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.domains import EnvConfig
from rl_eval.errors import InputError
from rl_eval.policy import Constant, Policy
from rl_eval.rewards import RewardFunction
from rl_eval.rollout import Episodes, play

SHIFTS = 50
# Cohen's d: the gap over the standard deviation of single cases; .2 is called a small effect.
NOTABLE = 0.1
Z = 3.09  # one-sided p = .001
MOST_ACTIONS = 16


@dataclass(frozen=True)
class Gap:
    """How much more of the reward is missed on validation than on train.

    Attributes:
        train, validation: the mean reward less the best that any action would have earned, 0 or below; where cases
            depend on one another, the mean return of an episode.
        z, d: the gap in standard errors, and in standard deviations of one unit.
        unit: case or episode.
    """

    train: float
    validation: float
    z: float
    d: float
    unit: str


@diagnostic
def overfits(run: DiagnosedRun) -> Finding | None:
    """The judged policy misses less of the reward on its training cases than on the validation part."""
    config = run.environment
    if config is None or not domains.domain(config.name).has_cases or run.played is None:
        return None
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        cases = domains.domain(config.name).cases(config, "train")
        found = gap(config, reward, run.played.policy, cases, run.seed)
    except Exception as error:  # data or terms of somebody else
        run.missing.append(f"the training cases at play: {' '.join(str(error).split())[:300]}")
        return None
    if found is None or found.z < Z or found.d < NOTABLE:
        return None
    env_steps = run.info.get("env_steps")
    seen = f"; each was seen about {env_steps / cases:.0f} times" if isinstance(env_steps, int) and cases else ""
    missed = "of the reward is missed" if found.unit == "case" else "is earned"
    return Finding(
        name="overfits",
        severity="warning" if found.unit == "episode" or found.train >= found.validation / 2 else "note",
        layer="data",
        title="the policy has learned its training cases by heart",
        evidence=f"on average {abs(found.train):.3g} a {found.unit} {missed} on train and {abs(found.validation):.3g} "
        f"on validation, {found.d:.2f} standard deviations apart (z = {found.z:.1f}); {cases:,} training cases{seen}",
        meaning="What it learned holds for the cases it saw more than for their kind: give it more cases, fewer "
        "passes over them, or a network that can remember less.",
        change="agent.network.widths=[16] agent.network.dropout=0.2",
        source="Cohen's d of train less validation at least .1 (Cohen 1988) where the pooled z exceeds 3.09, p = .001; "
        "of each case, the reward less that of its best action; a warning where train misses half as much",
        certainty=0.85,
        data={**vars(found), "cases": cases},
    )


def gap(config: EnvConfig, reward: RewardFunction, acting: Policy, cases: int, seed: int) -> Gap | None:
    """Play the policy on training cases and on the validation part, and compare what it misses."""
    domain = domains.domain(config.name)
    longest, validation = domain.longest_episode(config), domain.episodes(config, "validation")
    if longest is None or validation is None or not cases:
        return None
    by_case = bool(domain.independent_cases(config))
    counts: dict[domains.Part, int] = {"train": math.ceil(cases / longest), "validation": validation}
    a, b = (_units(config, reward, acting, part, min(SHIFTS, count), by_case, seed) for part, count in counts.items())
    if min(len(a), len(b)) < 2:
        return None
    apart = float(a.mean() - b.mean())
    deviations = float(np.square(a - a.mean()).sum() + np.square(b - b.mean()).sum())
    spread = math.sqrt(deviations / (len(a) + len(b) - 2))  # pooled: a part without a miss has no spread of its own
    if not spread or not math.isfinite(spread):
        return None
    z = apart / (spread * math.sqrt(1 / len(a) + 1 / len(b)))
    return Gap(float(a.mean()), float(b.mean()), z, apart / spread, "case" if by_case else "episode")


def _units(
    config: EnvConfig,
    reward: RewardFunction,
    acting: Policy,
    part: domains.Part,
    episodes: int,
    by_case: bool,
    seed: int,
) -> np.ndarray:
    """`[units]` what each case earned less the best there was, or what each episode returned.

    Raises:
        InputError: a term reads what the outcome does not have, or a reward is not finite.
    """
    vector = domains.make(config, n_envs=episodes, part=part, autoreset=False)
    try:

        def earned(policy: Policy) -> tuple[np.ndarray, Episodes]:
            played = play(vector, policy, seeds=range(episodes), order=seed)
            rewards = reward(played.outcome)[0].astype(np.float64)
            if not np.isfinite(rewards).all():
                raise InputError("a reward is not finite")
            return rewards, played

        rewards, played = earned(acting)
        if not by_case:
            return np.bincount(played.episode, weights=rewards, minlength=len(played))
        space = vector.single_action_space
        if not isinstance(space, Discrete) or space.n > MOST_ACTIONS:
            return rewards
        actions = [Constant(space, str(action)) for action in range(int(space.start), int(space.start + space.n))]
        return rewards - np.max([earned(constant)[0] for constant in actions], axis=0)
    finally:
        vector.close()
