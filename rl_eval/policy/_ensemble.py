"""`ensemble:<policy>+<policy>…`: several policies that decide together.

They choose by the mean of their probabilities where all have them, else each has a vote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import space_text
from rl_eval.errors import InputError
from rl_eval.policy._actions import actions_from
from rl_eval.policy._identity import canonical, digest, identity, is_cacheable
from rl_eval.policy._policy import Policy, Spaces, choose_actions
from rl_eval.policy._source import SOURCES, Source, load, names_policy, notes, preprocessing


class Ensemble:
    """Policies that decide together on Discrete actions.

    The action of the largest mean probability, or of most votes; of several, the lowest, or that of the first policy.
    """

    def __init__(self, members: Sequence[Policy], action: gym.spaces.Discrete, seed: int):
        self._members, self._action, self._rng = members, action, np.random.default_rng(seed)

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Actions `[N]`; a sample is of the mean probabilities, or the vote of samples."""
        if all(hasattr(member, "probabilities") for member in self._members):
            mean = np.mean([member.probabilities(obs) for member in self._members], axis=0)  # type: ignore[attr-defined]
            with np.errstate(divide="ignore"):
                logits = np.log(mean)
            return actions_from(logits, np.zeros(()), self._action, None if greedy else self._rng, mask)
        chosen = np.stack([choose_actions(each, obs, greedy, mask, episode_start) for each in self._members])
        votes = np.zeros((len(obs), int(self._action.n)))
        rows = np.arange(len(obs))
        for place, actions in enumerate(chosen):  # of equal votes that of the first policy counts
            votes[rows, actions - self._action.start] += 1 + (1e-6 if place == 0 else 0)
        if mask is not None:  # illegal votes count where there are no others: the environment says what follows
            legal = np.where(mask, votes, 0)
            votes = np.where(legal.any(axis=1, keepdims=True), legal, votes)
        return votes.argmax(axis=1) + self._action.start


class EnsembleSource(Source):
    """Policies that decide together. Needs the trust that one of them needs."""

    prefix = "ensemble"
    usage = "ensemble:<policy>+<policy>"

    def needs_trust(self, rest: str) -> str | None:
        """What the first member that needs trust says."""
        for member in members(rest):
            if names_policy(member):
                prefix, _, own = member.partition(":")
                if (why := SOURCES.get(prefix).needs_trust(own)) is not None:
                    return f"has {member!r}, which {why}"
        return None

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """All members; each draws with the seed.

        Raises:
            InputError: fewer than two, one that cannot be loaded, or actions that are not Discrete.
        """
        if not isinstance(spaces.action, gym.spaces.Discrete):
            raise InputError(
                f"policy {spec!r} is not supported on actions in {space_text(spaces.action)}: they must be Discrete"
            )
        trusted = self.needs_trust(rest) is not None  # it was asked for
        loaded = [load(member, spaces, config, seed=seed, trust=trusted) for member in members(rest)]
        return Ensemble(loaded, spaces.action, seed)

    def preprocessing(self, rest: str, spec: str) -> Mapping[str, Any] | None:
        """That of the members, which must be the same.

        Raises:
            InputError: they differ.
        """
        each = [preprocessing(member) for member in members(rest)]
        if any(other != each[0] for other in each):
            raise InputError(f"policy {spec!r}: its members have different preprocessing, so they cannot vote together")
        return each[0]

    def identity(self, rest: str) -> str | None:
        """A hash of the identities of the members, in their order."""
        each = [identity(member) for member in members(rest)]
        return None if None in each else digest(self.prefix, *(str(one) for one in each))

    def is_cacheable(self, rest: str) -> bool:
        """Whether all members are."""
        return all(map(is_cacheable, members(rest)))

    def notes(self, rest: str) -> Sequence[str]:
        """Those of the members."""
        return [note for member in members(rest) for note in notes(member)]

    def canonical(self, rest: str) -> str:
        """The members with their files written in one way."""
        return "+".join(map(canonical, members(rest)))


def members(rest: str) -> list[str]:
    """The policies in `<policy>+<policy>…`; a `+` that no policy follows belongs to the name before it.

    Raises:
        InputError: fewer than two.
    """
    found: list[str] = []
    for part in rest.split("+"):
        if not found or names_policy(part) or Path(part).is_dir():
            found.append(part)
        else:
            found[-1] += f"+{part}"
    if len(found) < 2 or not all(found):
        raise InputError(f"policy 'ensemble:{rest}' names fewer than two policies: give ensemble:<policy>+<policy>")
    return found
