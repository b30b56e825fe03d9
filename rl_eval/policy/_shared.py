"""Policies for environments of several agents: one for all of them, or one each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.parallel_env import OfAgents
from rl_eval.envs.space_values import OneHot, as_rows, values_of
from rl_eval.errors import InputError
from rl_eval.policy._policy import Policy, Spaces, choose_actions, starts


class PoliciesOfAgents:
    """Policies that act for agents, each for one or more.

    A policy gets the observations of its agents one after the other: those of its first agent in all copies, and so on.

    Args:
        acting: policies with the agents that each acts for.
    """

    def __init__(self, acting: Sequence[tuple[Policy, Sequence[str]]], spaces: Spaces):
        assert isinstance(spaces.observation, OfAgents)
        assert isinstance(spaces.action, OfAgents)
        self._acting, self._observation, self._action = acting, spaces.observation, spaces.action

    def act(self, obs: np.ndarray, greedy: bool, episode_start: np.ndarray | None = None) -> np.ndarray:
        """Object array `[N]`, each a dict with the action of every agent."""
        n, start = len(obs), starts(episode_start, len(obs))
        actions: list[dict[str, Any]] = [{} for _ in range(n)]
        for policy, agents in self._acting:
            space = self._observation[agents[0]]
            rows = _rows(space, [row[agent] for agent in agents for row in obs])
            chosen = choose_actions(policy, rows, greedy, None, np.tile(start, len(agents)))
            values = values_of(self._action[agents[0]], chosen)
            for index, value in enumerate(values):
                actions[index % n][agents[index // n]] = value
        return as_rows(self._action, [{agent: each[agent] for agent in self._action} for each in actions])


def _rows(space: gym.Space, values: list[Any]) -> np.ndarray:
    rows = as_rows(space, values)
    if isinstance(space, gym.spaces.Discrete):  # policies get one-hot vectors from every environment
        return np.eye(int(space.n), dtype=np.int64)[rows - int(space.start)]
    return rows


def spaces_of_agent(spaces: Spaces, agent: str) -> Spaces:
    """What the policy of one agent must fit."""
    assert isinstance(spaces.observation, OfAgents)
    assert isinstance(spaces.action, OfAgents)
    observation = spaces.observation[agent]
    own = OneHot(observation) if isinstance(observation, gym.spaces.Discrete) else observation
    return Spaces(spaces.env, own, spaces.action[agent], spaces.id)


def spaces_of_all(spaces: Spaces, spec: str) -> Spaces:
    """What a policy for all agents must fit.

    Raises:
        InputError: the spaces of the agents differ.
    """
    assert isinstance(spaces.observation, Mapping)
    first, *others = spaces.observation
    own = spaces_of_agent(spaces, first)
    for agent in others:
        if spaces_of_agent(spaces, agent) != own:
            raise InputError(
                f"policy {spec!r} cannot act for all agents of {spaces.title}: {first} and {agent} have different "
                f"spaces; name one each, agents:{first}=<policy>+{agent}=<policy>"
            )
    return own
