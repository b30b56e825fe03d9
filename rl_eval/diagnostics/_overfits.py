"""A policy that decides better on its training cases than on others."""

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

MAX_EPISODES = 50
NOTABLE = 0.1  # Cohen's d: the gap over the standard deviation of single cases; .2 is called a small effect
Z = 3.09  # one-sided p = .001
MAX_ACTIONS = 16


@dataclass(frozen=True)
class Gap:
    """How much less of the possible reward the policy gets on validation than on train.

    Attributes:
        train, validation: the mean reward minus that of the best action, 0 or below; the mean return of an episode if
            cases depend on each other.
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
    """The judged policy gets more of the possible reward on its training cases than on the validation part.

    Plays the judged policy on both parts. Counts the reward of each case minus that of its best action, so that cases
    of different value can be compared. Pooled z above 3.09 (p = .001) and Cohen's d of at least .1. A warning if the
    policy misses at most half as much on `train`. Try more cases, fewer passes, or
    `agent.network.widths=[16] agent.network.dropout=0.2`.
    """
    config = run.environment
    if config is None or not domains.domain(config.name).has_cases or run.played is None:
        return None
    try:
        reward = RewardFunction.from_config(run.setting("reward.terms"))
        cases = domains.domain(config.name).cases(config, "train")
        comparison = gap(config, reward, run.played.policy, cases, run.seed)
    except Exception as error:  # the data or the reward terms may be anyone's
        run.add_missing("the training cases at play", error)
        return None
    if comparison is None or comparison.z < Z or comparison.d < NOTABLE:
        return None
    env_steps = run.info.get("env_steps")
    repeats = f"; each was used about {env_steps / cases:.0f} times" if isinstance(env_steps, int) and cases else ""
    missed = "of the reward is missed" if comparison.unit == "case" else "is earned"
    return Finding(
        name="overfits",
        severity="warning" if comparison.unit == "episode" or comparison.train >= comparison.validation / 2 else "note",
        layer="data",
        title="the policy has memorised its training cases",
        evidence=f"on average {abs(comparison.train):.3g} per {comparison.unit} {missed} on train and "
        f"{abs(comparison.validation):.3g} on validation, {comparison.d:.2f} standard deviations apart "
        f"(z = {comparison.z:.1f}); {cases:,} training cases{repeats}",
        meaning="It fits the training cases better than similar ones: use more cases, fewer passes over them, or a "
        "smaller network.",
        change="agent.network.widths=[16] agent.network.dropout=0.2",
        source="Cohen's d of train minus validation at least .1 (Cohen 1988), with a pooled z above 3.09, p = .001; "
        "for each case, the reward minus that of its best action; a warning if train misses at most half as much",
        certainty=0.85,
        data={**vars(comparison), "cases": cases},
    )


def gap(config: EnvConfig, reward: RewardFunction, policy: Policy, cases: int, seed: int) -> Gap | None:
    """Play the policy on training cases and on the validation part, and compare the reward it misses."""
    domain = domains.domain(config.name)
    longest, validation = domain.longest_episode(config), domain.episodes(config, "validation")
    if longest is None or validation is None or not cases:
        return None
    by_case = bool(domain.independent_cases(config))
    counts: dict[domains.Part, int] = {"train": math.ceil(cases / longest), "validation": validation}
    a, b = (
        _units(config, reward, policy, part, min(MAX_EPISODES, count), by_case, seed) for part, count in counts.items()
    )
    if min(len(a), len(b)) < 2:
        return None
    apart = float(a.mean() - b.mean())
    deviations = float(np.square(a - a.mean()).sum() + np.square(b - b.mean()).sum())
    spread = math.sqrt(deviations / (len(a) + len(b) - 2))  # pooled: a part without a miss has no spread
    if not spread or not math.isfinite(spread):
        return None
    z = apart / (spread * math.sqrt(1 / len(a) + 1 / len(b)))
    return Gap(float(a.mean()), float(b.mean()), z, apart / spread, "case" if by_case else "episode")


def _units(
    config: EnvConfig,
    reward: RewardFunction,
    policy: Policy,
    part: domains.Part,
    episodes: int,
    by_case: bool,
    seed: int,
) -> np.ndarray:
    """`[units]` the reward of each case minus that of its best action, or the return of each episode.

    Raises:
        InputError: a term needs a fact that the outcome does not have, or a reward is not finite.
    """
    vector = domains.make(config, n_envs=episodes, part=part, autoreset=False)
    try:

        def earned(player: Policy) -> tuple[np.ndarray, Episodes]:
            played = play(vector, player, seeds=range(episodes), order=seed)
            rewards = reward(played.outcome)[0].astype(np.float64)
            if not np.isfinite(rewards).all():
                raise InputError("a reward is not finite")
            return rewards, played

        rewards, played = earned(policy)
        if not by_case:
            return np.bincount(played.episode, weights=rewards, minlength=len(played))
        space = vector.single_action_space
        if not isinstance(space, Discrete) or space.n > MAX_ACTIONS:
            return rewards
        actions = [Constant(space, str(action)) for action in range(int(space.start), int(space.start + space.n))]
        return rewards - np.max([earned(constant)[0] for constant in actions], axis=0)
    finally:
        vector.close()
