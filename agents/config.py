"""Every hyper-parameter of every agent, with its meaning and its range.

Free of torch, so that a config can be checked before anything heavy is imported. The defaults stand
in `conf/agent/*.yaml` as well, where people read and change them; a test holds the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

# Read by pydantic where a config is checked: no unknown keys, no NaN, no infinities.
STRICT = {"extra": "forbid", "allow_inf_nan": False}

Positive = Annotated[float, Gt(0)]
NonNegative = Annotated[float, Ge(0)]
Rate = Annotated[float, Ge(0), Le(1)]
Count = Annotated[int, Ge(1)]


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A multi-layer perceptron for the actor and one for the critic."""

    __pydantic_config__ = STRICT

    widths: Annotated[list[Count], MinLen(0)] = field(default_factory=lambda: [64, 64])  # hidden layers
    activation: Literal["tanh", "relu", "silu", "gelu"] = "tanh"
    norm: Literal["none", "layer", "batch"] = "none"  # after each hidden linear layer
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0  # in updates only; the actor collects without
    shared: bool = False  # one body for actor and critic


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig:
    """What PPO and A2C have in common."""

    __pydantic_config__ = STRICT

    lr: Positive = 3e-4
    lr_schedule: Literal["constant", "linear"] = "constant"  # linear: to 0 at total_steps
    n_envs: Count = 8  # environment copies stepped as one
    n_steps: Count = 256  # steps a copy between updates
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
    reward_prior_count: NonNegative = 0.0  # Stable-Baselines3 uses 1e-4
    log_std_init: float = 0.0  # continuous actions: log of the first standard deviation
    network: NetworkConfig = field(default_factory=NetworkConfig)


@dataclass(frozen=True, kw_only=True)
class PPOConfig(OnPolicyConfig):
    """Proximal policy optimisation (Schulman et al. 2017)."""

    name: Literal["ppo"] = "ppo"
    batch_size: Count = 256
    n_epochs: Count = 10
    clip_range: Positive = 0.2
    clip_range_vf: Positive | None = None  # None: the value loss is not clipped
    target_kl: Positive | None = None  # stop the epochs of an iteration past this approximate KL

    def __post_init__(self) -> None:
        if self.batch_size > self.n_envs * self.n_steps:
            raise ValueError(
                f"batch_size={self.batch_size} is larger than the {self.n_envs * self.n_steps} steps an iteration "
                f"collects (n_envs={self.n_envs} x n_steps={self.n_steps})"
            )

    def build(self, envs: Any, **keywords: Any) -> Any:
        """The agent; imports torch."""
        from agents.ppo import PPO

        return PPO(self, envs, **keywords)


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

    def build(self, envs: Any, **keywords: Any) -> Any:
        """The agent; imports torch."""
        from agents.a2c import A2C

        return A2C(self, envs, **keywords)


CONFIGS = {"ppo": PPOConfig, "a2c": A2CConfig}
