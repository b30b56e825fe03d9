"""Every hyper-parameter of every agent, with its meaning and its range.

This module does not import torch, so a config is checked before anything heavy is imported. The defaults are also in
`conf/agent/*.yaml`, where people read and change them; a test checks that both are equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from agents import require_body
from agents.memory_use import dqn_bytes, on_policy_bytes
from agents.redis_address import is_address, parse_address

# Read by pydantic where a config is checked: no unknown keys, no NaN, no infinities.
STRICT = {"extra": "forbid", "allow_inf_nan": False}

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Rate = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]


def _check_body(body: str | None, kwargs: Mapping[str, Any]) -> None:
    """Raise ValueError for a body that is not registered, or for arguments that a snapshot cannot keep."""
    if body is not None:
        require_body(body)
    elif kwargs:
        raise ValueError(f"body_kwargs={dict(kwargs)} need a body: set body too")
    try:
        json.dumps(kwargs, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"body_kwargs={dict(kwargs)} are not plain JSON values ({error})") from error


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A multi-layer perceptron for the actor and one for the critic."""

    __pydantic_config__ = STRICT

    widths: Annotated[list[Count], MinLen(0)] = field(default_factory=lambda: [64, 64])  # hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    init: Literal["orthogonal", "xavier"] = "orthogonal"  # how the first weights are drawn
    norm: Literal["none", "layer", "batch"] = "none"  # after each hidden linear layer
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0  # in updates only; the actor collects without
    shared: bool = False  # one body for actor and critic
    # [[feature, weight], ...]: the first policy prefers later actions the larger the weighted sum of these features is.
    prior: list[tuple[Annotated[int, Ge(0)], float]] = field(default_factory=list)
    body: str | None = None  # a registered body in the place of the hidden layers; see `agents.register_body`
    body_kwargs: dict[str, Any] = field(default_factory=dict)  # of that body

    def __post_init__(self) -> None:
        _check_body(self.body, self.body_kwargs)
        if self.prior and (self.widths or self.body is not None):
            raise ValueError(
                f"not supported: prior={self.prior} with hidden layers: set widths=[] and no body, or prior=[]"
            )


def _check_prior(prior: list[tuple[int, float]], inputs: int, actions: Any) -> None:
    """Raise ValueError for a prior over features or actions that are not there."""
    from gymnasium.spaces import Discrete

    if prior and not isinstance(actions, Discrete):
        raise ValueError(f"agent.network.prior orders discrete actions, and this environment takes {actions}: set []")
    missing = [feature for feature, _ in prior if feature >= inputs]
    if missing:
        raise ValueError(
            f"agent.network.prior names the feature {missing[0]}, and this environment gives {inputs}: "
            f"use 0 to {inputs - 1}"
        )


def _try_body(network: NetworkConfig | QNetworkConfig, inputs: int) -> None:
    """Raise ValueError for a registered body that cannot be used with so many inputs."""
    if network.body is not None:
        import numpy as np

        from agents.network_bodies import registered_body

        registered_body(network.body, network.body_kwargs, inputs, np.random.default_rng(0))


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig:
    """Hyper-parameters that PPO and A2C share."""

    __pydantic_config__ = STRICT

    lr: Positive = 3e-4
    lr_schedule: Literal["constant", "linear"] = "constant"  # linear: to 0 at total_steps
    n_envs: Count = 8  # environment copies stepped as one
    n_steps: Count = 256  # steps per copy between updates
    gamma: Rate = 0.99
    gae_lambda: Rate = 0.95
    ent_coef: NonNegative = 0.0
    vf_coef: NonNegative = 0.5
    max_grad_norm: Positive = 0.5
    normalize_obs: bool = False  # running mean and variance, frozen for evaluation
    normalize_reward: bool = False  # divide by the deviation of the discounted return
    normalize_return: bool = False  # the critic learns returns of mean 0 and variance 1
    normalize_advantage: bool = True
    clip_obs: Positive = 10.0  # bounds of normalised observations
    clip_reward: Positive = 10.0  # bounds of normalised rewards
    input_bins: Annotated[int, Ge(0), Le(256)] = 0  # of each number of an observation, added; see `agents.encoding`
    reward_prior_count: NonNegative = 0.0  # Stable-Baselines3 uses 1e-4
    log_std_init: float = 0.0  # continuous actions: log of the first standard deviation
    network: NetworkConfig = field(default_factory=NetworkConfig)

    # What decides the meaning of trained weights: a run that starts from them has the same.
    weight_keys: ClassVar[tuple[str, ...]] = (
        "network",
        "normalize_obs",
        "clip_obs",
        "normalize_return",
        "input_bins",
    )
    trains_together: ClassVar[bool] = True  # agents that differ in their seeds; see `agents.seeds`

    def check(self, observations: Any, actions: Any, longest_episode: int | None) -> None:
        """Any environment that can be made will do, if a registered body and a prior suit its spaces.

        See `DQNConfig.check`.
        """
        from gymnasium.spaces import flatdim

        _try_body(self.network, flatdim(observations))
        _check_prior(self.network.prior, flatdim(observations), actions)

    def check_ranks(self, ranks: int) -> None:
        """Whether so many processes can train together.

        Raises:
            ValueError: they cannot; says why.
        """
        if self.n_envs % ranks:
            raise ValueError(
                f"agent.n_envs={self.n_envs} cannot be shared equally by hardware.ranks={ranks}: give a multiple of it"
            )
        if self.network.norm == "batch":
            raise ValueError(
                f"not supported: agent.network.norm=batch with hardware.ranks={ranks}, since its statistics are those "
                "of one rank's rows: use layer"
            )

    def memory(self, observations: Any, actions: Any) -> dict[str, int]:
        """Key -> bytes that grow with it; see `memory_use`."""
        from gymnasium.spaces import flatdim

        return on_policy_bytes(self, flatdim(observations), flatdim(actions))


@dataclass(frozen=True, kw_only=True)
class PPOConfig(OnPolicyConfig):
    """Proximal policy optimisation (Schulman et al. 2017)."""

    name: Literal["ppo"] = "ppo"
    batch_size: Count = 256
    n_epochs: Count = 10
    clip_range: Positive = 0.2
    clip_range_vf: Positive | None = None  # None: the value loss is not clipped
    target_kl: Positive | None = None  # stop the epochs of an iteration above this approximate KL
    weight_decay: NonNegative = 0.0  # decoupled, as in AdamW
    all_actions: bool = False  # learn from the reward of every action, if the environment knows it

    def __post_init__(self) -> None:
        if self.batch_size > self.n_envs * self.n_steps:
            raise ValueError(
                f"batch_size={self.batch_size} is larger than the {self.n_envs * self.n_steps} steps an iteration "
                f"collects (n_envs={self.n_envs} x n_steps={self.n_steps})"
            )
        if self.all_actions and self.gamma:
            raise ValueError(
                f"all_actions=true learns what an action earns at once, and not what follows from it as "
                f"gamma={self.gamma} asks: set gamma to 0, or all_actions to false"
            )


@dataclass(frozen=True, kw_only=True)
class A2CConfig(OnPolicyConfig):
    """Advantage actor-critic (Mnih et al. 2016), synchronous."""

    name: Literal["a2c"] = "a2c"
    lr: Positive = 7e-4
    n_steps: Count = 5
    gae_lambda: Rate = 1.0
    normalize_advantage: bool = False
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    rms_decay: Annotated[float, Ge(0), Lt(1)] = 0.99
    optimizer_epsilon: Positive = 1e-5


@dataclass(frozen=True, kw_only=True)
class QNetworkConfig:
    """A multi-layer perceptron from observations to a value per action; groups of features attend to each other first.

    With `groups` the observation is cut into features of those sizes; each group becomes a token, and what the
    perceptron sees is the tokens after one layer of multi-head attention (Vaswani et al. 2017).

    With `candidates` the observation is `context` features and then as many features for each action. The same weights
    score every action, so what is learned of one holds for all, in any position; see `CandidateAttention`.
    """

    __pydantic_config__ = STRICT

    widths: Annotated[list[Count], MinLen(0)] = field(default_factory=lambda: [64, 64])  # hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "relu"
    init: Literal["orthogonal", "xavier"] = "orthogonal"  # how the first weights are drawn
    norm: Literal["none", "layer"] = "none"  # after each hidden linear layer
    groups: list[Count] = field(default_factory=list)  # sizes of the groups, in order; none: no attention
    group_width: Count = 32  # of a group's or a candidate's token
    candidates: Annotated[int, Ge(0)] = 0  # actions that are scored by features of their own; 0: none
    context: Annotated[int, Ge(0)] = 0  # features before those of the first candidate
    heads: Count = 4
    body: str | None = None  # a registered body in the place of the hidden layers; see `agents.register_body`
    body_kwargs: dict[str, Any] = field(default_factory=dict)  # of that body

    def __post_init__(self) -> None:
        _check_body(self.body, self.body_kwargs)
        if self.groups and self.candidates:
            raise ValueError(
                f"groups={self.groups} and candidates={self.candidates} exclude each other: set one of them"
            )
        if (self.groups or self.candidates) and self.group_width % self.heads:
            raise ValueError(f"group_width={self.group_width} is not a multiple of heads={self.heads}")


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """Where an agent keeps the experience that it learns from; the top-level section `replay` of a config."""

    __pydantic_config__ = STRICT

    storage: str = "memory"  # memory | memmap | redis://host:port/db
    folder: str | None = None  # of the memmap; None: the run directory

    def __post_init__(self) -> None:
        if is_address(self.storage):
            parse_address(self.storage)
        elif self.storage not in ("memory", "memmap"):
            raise ValueError("storage must be memory, memmap, or the address of a Redis server, redis://host:port/db")


@dataclass(frozen=True, kw_only=True)
class AgentsConfig:
    """Several agents: in turn in one environment, or in a process each; the top-level section `agents` of a config."""

    __pydantic_config__ = STRICT

    count: Annotated[int, Ge(1), Le(8)] = 1
    share: Literal["replay", "none"] = "replay"  # replay: a network in common, and a head each; none: a network each
    credit: Literal["difference", "none"] = "difference"  # none: each is rewarded with the team's reward
    processes: Annotated[int, Ge(1), Le(16)] = (
        1  # that learn from each other's steps over the server of `replay.storage`
    )


@dataclass(frozen=True, kw_only=True)
class DQNConfig:
    """Deep Q-learning (Mnih et al. 2015), and what Rainbow (Hessel et al. 2018) adds to it, each part by a key."""

    __pydantic_config__ = STRICT

    name: Literal["dqn"] = "dqn"
    lr: Positive = 5e-4
    lr_schedule: Literal["constant", "linear"] = "constant"  # linear: to 0 at total_steps
    n_envs: Count = 1  # environment copies stepped as one
    gamma: Rate = 0.99
    double: bool = True  # the online network chooses the next action, the target network gives its value
    dueling: bool = False  # Q = V + A − mean A
    n_step: Count = 1  # rewards in a return before it is bootstrapped
    prioritized: bool = False  # draw transitions by their TD error
    priority_alpha: NonNegative = 0.6  # 0: uniform
    priority_beta: Rate = 0.4  # of the importance weights at the start; 1 at total_steps
    buffer_size: Count = 100_000  # transitions
    batch_size: Count = 64
    learning_starts: Annotated[int, Ge(0)] = 1_000  # env steps before the first update
    train_every: Count = 4  # steps per copy between rounds of updates
    updates_per_step: Positive = 1.0  # gradient steps per env step, for any number of copies
    target: Literal["hard", "soft"] = "hard"
    target_every: Count = 500  # hard: gradient steps between two copies of the online network
    tau: Annotated[float, Gt(0), Le(1)] = 0.005  # soft: share of the online network, each gradient step
    exploration: Literal["linear", "exponential"] = "linear"  # how epsilon falls
    epsilon_start: Rate = 1.0
    epsilon_end: Rate = 0.05
    exploration_fraction: Rate = 0.2  # of total_steps, over which epsilon falls
    novelty_bonus: NonNegative = 0.0  # of the fact `novelty`, added to the reward that is learned from
    loss: Literal["huber", "squared"] = "huber"
    max_grad_norm: Positive = 10.0
    optimizer_epsilon: Positive = 1e-8
    weight_decay: NonNegative = 0.0  # decoupled, as in AdamW
    normalize_obs: bool = False  # running mean and variance, frozen for evaluation
    normalize_reward: bool = False  # divide by the deviation of the discounted return
    clip_obs: Positive = 10.0  # bounds of normalised observations
    input_bins: Annotated[int, Ge(0), Le(256)] = 0  # of each number of an observation, added; see `agents.encoding`
    network: QNetworkConfig = field(default_factory=QNetworkConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    agents: AgentsConfig = field(default_factory=AgentsConfig)

    weight_keys: ClassVar[tuple[str, ...]] = ("network", "dueling", "normalize_obs", "clip_obs", "input_bins")

    def __post_init__(self) -> None:
        # A slot may hold a final observation, and the latest steps cannot be drawn yet.
        needed = 2 * self.batch_size + (self.n_step + 1) * self.n_envs
        if self.buffer_size < needed:
            raise ValueError(
                f"buffer_size={self.buffer_size} is too small for batch_size={self.batch_size}, n_step={self.n_step} "
                f"and n_envs={self.n_envs}: make it at least {needed}"
            )
        if self.input_bins and (self.network.groups or self.network.candidates or self.agents.count > 1):
            raise ValueError(
                f"not supported: input_bins={self.input_bins} with network.groups, network.candidates or several "
                "agents, which read an observation by the places of its numbers: set it to 0"
            )
        if self.epsilon_end > self.epsilon_start:
            raise ValueError(
                f"epsilon_end={self.epsilon_end} is above epsilon_start={self.epsilon_start}: exploration must fall"
            )
        if self.agents.processes > 1 and not is_address(self.replay.storage):
            raise ValueError(
                f"agents.processes={self.agents.processes} share their steps over a Redis server: set "
                "replay.storage=redis://host:port/db"
            )
        if self.agents.processes > 1 and self.prioritized:
            raise ValueError(
                f"agents.processes={self.agents.processes} does not go with agent.prioritized: set it to false"
            )
        if self.exploration == "exponential" and not self.epsilon_end:
            raise ValueError("epsilon_end=0 is never reached with exploration=exponential: set it above 0")

    @property
    def facts(self) -> tuple[str, ...]:
        """Facts of a step that are learned from."""
        return ("novelty",) if self.novelty_bonus else ()

    @property
    def not_repeatable(self) -> str | None:
        """Why a training cannot be repeated to the bit; None: it can."""
        return "it learned from what other processes sent when they did" if self.agents.processes > 1 else None

    def check(self, observations: Any, actions: Any, longest_episode: int | None) -> None:
        """Whether this can learn in an environment.

        Args:
            observations, actions: its spaces.
            longest_episode: its step limit; None: it has none.

        Raises:
            ValueError: it cannot; says why.
        """
        from gymnasium.spaces import Discrete, flatdim

        if not isinstance(actions, Discrete):
            raise ValueError(
                f"agent=dqn chooses between discrete actions, and this environment takes {actions}: "
                "use agent=ppo or agent=a2c"
            )
        if longest_episode is not None and self.n_step > longest_episode:
            raise ValueError(
                f"agent.n_step={self.n_step} is longer than an episode, which ends after {longest_episode} steps: "
                f"use at most {longest_episode}"
            )
        size, grouped = flatdim(observations), sum(self.network.groups)
        if self.network.groups and grouped != size:
            raise ValueError(
                f"agent.network.groups={self.network.groups} are {grouped} features in all, and this environment "
                f"gives {size}: name sizes that add up to {size}"
            )
        network = self.network
        if network.candidates and network.candidates != int(actions.n):
            raise ValueError(
                f"agent.network.candidates={network.candidates} are scored, and this environment has {actions.n} "
                f"actions: use agent.network.candidates={actions.n}"
            )
        rest = size - network.context
        if network.candidates and (rest < network.candidates or rest % network.candidates):
            raise ValueError(
                f"agent.network.context={network.context} leaves {rest} features for {network.candidates} candidates, "
                "which must be as many for each: name the number of features before those of the first candidate"
            )
        tokens = 2 if network.candidates else len(network.groups)
        _try_body(network, tokens * network.group_width or size)

    def memory(self, observations: Any, actions: Any) -> dict[str, int]:
        """Key -> bytes that grow with it; see `memory_use`."""
        from gymnasium.spaces import flatdim

        return dqn_bytes(self, flatdim(observations), flatdim(actions))
