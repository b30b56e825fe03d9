"""The learning algorithms: torch, numpy and Gymnasium, and nothing of rl_eval.

`AGENTS` holds every agent by name. It is all that others need of this package: an entry makes an agent from its config,
and loads or exports the policies of its snapshots. `register` adds an agent, and `register_body` a body for the
networks of PPO, A2C and DQN. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# An object, or "module:name" of one that is imported when it is first used.
Target = str | Callable[..., Any]


@dataclass(frozen=True)
class AgentEntry:
    """One agent; see `register` for what the targets name."""

    name: str
    config_target: Target
    agent_target: Target
    policy_target: Target
    onnx_target: Target | None = None

    @property
    def config(self) -> type:
        """The dataclass of the hyper-parameters."""
        return _import(self.config_target)

    def build(self, config: Any, envs: Any, **keywords: Any) -> Any:
        """An agent for a vector environment; `keywords` as in `register`.

        Raises:
            ValueError: it cannot learn in this environment.
        """
        return _import(self.agent_target)(config, envs, **keywords)

    def load_policy(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], seed: int = 0) -> Any:
        """The policy of a snapshot.

        Args:
            arrays, meta: what the agent's `policy_checkpoint` gave.
            seed: of the draws when it does not act greedily.

        Raises:
            ValueError: the arrays do not fit the metadata.
        """
        return _import(self.policy_target)(arrays, meta, seed=seed)

    def to_onnx(
        self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], description: Mapping[str, Any]
    ) -> bytes:
        """The policy of a snapshot as an ONNX file.

        Args:
            description: JSON values for the file's metadata.

        Raises:
            ValueError: the policy cannot be exported.
        """
        if self.onnx_target is None:
            raise ValueError(f"agent {self.name!r} has no export to ONNX")
        return _import(self.onnx_target)(arrays, meta, description)


AGENTS: dict[str, AgentEntry] = {}
BODIES: dict[str, Target] = {}


def register(
    name: str, *, config: Target, agent: Target, load_policy: Target, to_onnx: Target | None = None
) -> AgentEntry:
    """Add an agent to `AGENTS`. Each target is an object, or `"module:name"` of one.

    Args:
        name: of the agent; the config has it as `name`, and snapshots record it.
        config: a dataclass of the hyper-parameters, `name`, `lr` and `n_envs` among them. Its method
            `check(observations, actions, longest_episode)` raises ValueError where the agent does not suit, and
            `weight_keys` names the fields that weights depend on; `memory(observations, actions)`, where it is
            defined, says how many bytes grow with which key. See `agents.config.DQNConfig`.
        agent: `agent(config, envs, *, generators, total_steps, device, folder)`, an object with the attributes and
            methods of `rl_eval.training.Agent`; `agents.base_agent.BaseAgent` has most of them.
        load_policy: `load_policy(arrays, meta, seed=0)`, an object with `act(obs, greedy, mask=None)`.
        to_onnx: `to_onnx(arrays, meta, description)`, the bytes of an ONNX file. None: there is no export.

    Raises:
        ValueError: another agent has this name.
    """
    entry = AgentEntry(name, config, agent, load_policy, to_onnx)
    if AGENTS.setdefault(name, entry) != entry:
        raise ValueError(f"{name!r} is registered twice as an agent: rename one of them")
    return entry


def register_body(name: str, body: Target) -> None:
    """Add a network body, which `agent.network.body=<name>` puts in the place of the hidden layers.

    Args:
        body: `body(inputs, **kwargs)`, or `"module:name"` of it: a torch module that maps float32 `[B, inputs]` to
            `[B, F]`, for any F, and does not write into its inputs; `kwargs` are those of
            `agent.network.body_kwargs`.

    Raises:
        ValueError: another body has this name.
    """
    if BODIES.setdefault(name, body) != body:
        raise ValueError(f"{name!r} is registered twice as a network body: rename one of them")


def require_body(name: str) -> None:
    """Check that a network body is registered.

    Raises:
        ValueError: it is not.
    """
    if name not in BODIES:
        choices = f"registered are {', '.join(BODIES)}" if BODIES else "none is registered"
        raise ValueError(f"there is no network body {name!r} ({choices}): name its module in plugins=[my_module]")


def make_body(name: str, inputs: int, kwargs: Mapping[str, Any]) -> Any:
    """A new body with first weights from torch's generator; see `register_body`.

    Raises:
        ValueError: it is not registered.
    """
    require_body(name)
    return _import(BODIES[name])(inputs, **kwargs)


def _import(target: Target) -> Any:
    if not isinstance(target, str):
        return target
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


register(
    "ppo",
    config="agents.config:PPOConfig",
    agent="agents.ppo:PPO",
    load_policy="agents.policy:load",
    to_onnx="agents.export:actor_to_onnx",
)
register(
    "a2c",
    config="agents.config:A2CConfig",
    agent="agents.a2c:A2C",
    load_policy="agents.policy:load",
    to_onnx="agents.export:actor_to_onnx",
)
register(
    "dqn",
    config="agents.config:DQNConfig",
    agent="agents.team:build",
    load_policy="agents.q_policy:load",
    to_onnx="agents.export:q_network_to_onnx",
)
