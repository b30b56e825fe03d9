"""Parallel environments of PettingZoo as single ones, whose observations and actions are dicts with a key per agent."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rl_eval.envs.space_values import blank
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.plugins import hint_on_path

PREFIX = "pettingzoo:"


class OfAgents(gym.spaces.Dict):
    """The spaces of all agents, by their names."""


def parallel_spec(env_id: str) -> EnvSpec:
    """The registration of an id such as `pettingzoo:classic.rps_v2` or `pettingzoo:my_module:parallel_env`."""
    entry_point = f"{ParallelAsOne.__module__}:{ParallelAsOne.__qualname__}"
    return EnvSpec(id=env_id, entry_point=entry_point, kwargs={"made_by": env_id.removeprefix(PREFIX)})


class ParallelAsOne(gym.Env):
    """All agents as one: the reward is the sum of theirs, and `info` has `return_<agent>`, the sum of its own so far.

    An agent that has left keeps its last observation, zeros before its first; its actions are ignored. The episode ends
    when no agent is left, terminated if all of them were.

    Args:
        made_by: `<package>.<environment>` of PettingZoo, or `<module>:<function>`.
        render_mode, **kwargs: passed to the function.

    Raises:
        InputError: PettingZoo is not installed, or there is no such function, or it makes no parallel environment.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, made_by: str, render_mode: str | None = None, **kwargs: Any):
        shown = f"env.id={PREFIX + made_by!r}"
        with imports_of_extra("pettingzoo", shown):
            import pettingzoo
        module, _, function = made_by.rpartition(":")
        try:
            maker = importlib.import_module(module or f"pettingzoo.{made_by}")
            make = getattr(maker, function if module else "parallel_env")
            self._parallel = make(**({"render_mode": render_mode} if render_mode else {}), **kwargs)
        except Exception as error:  # foreign code raises anything
            line = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(f"{shown} cannot be made: {line}{hint_on_path(module, error)}") from error
        if not isinstance(self._parallel, pettingzoo.ParallelEnv):
            raise InputError(f"{shown} made {type(self._parallel).__name__}: it must be a pettingzoo.ParallelEnv")
        self.render_mode = render_mode
        self._agents: list[str] = list(self._parallel.possible_agents)
        self._blank = {agent: blank(self._parallel.observation_space(agent)) for agent in self._agents}
        self.observation_space = OfAgents({agent: self._parallel.observation_space(agent) for agent in self._agents})
        self.action_space = OfAgents({agent: self._parallel.action_space(agent) for agent in self._agents})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """Start an episode of all agents."""
        super().reset(seed=seed)
        observations, _ = self._parallel.reset(seed=seed, options=options)
        self._observations = {**self._blank, **observations}
        self._terminated = dict.fromkeys(self._agents, False)
        self._returns = dict.fromkeys(self._agents, 0.0)
        return dict(self._observations), {}

    def step(self, action: dict[str, Any]):
        """One step of the agents that are left."""
        playing = {agent: action[agent] for agent in self._parallel.agents}
        observations, rewards, terminations, truncations, _ = self._parallel.step(playing)
        self._observations.update(observations)
        self._terminated.update({agent: bool(ended) for agent, ended in terminations.items()})
        left = [a for a in self._parallel.agents if not (terminations.get(a) or truncations.get(a))]
        terminated = not left and all(self._terminated.values())
        own = {agent: float(rewards.get(agent, 0.0)) for agent in self._agents}
        self._returns = {agent: so_far + own[agent] for agent, so_far in self._returns.items()}
        info = {f"return_{agent}": so_far for agent, so_far in self._returns.items()}
        return dict(self._observations), sum(own.values()), terminated, not left and not terminated, info

    def render(self):
        """What the environment draws."""
        return self._parallel.render()

    def close(self):
        """Close the environment."""
        self._parallel.close()
