"""`BaseAgent`: environments, statistics and counters of every agent; starting, finite checks and resuming."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents import normalize
from agents.action_masks import read_mask
from agents.checkpoint_arrays import pack_moments, take_over_moments, unpack_moments, with_prefix, without_prefix
from agents.collect import flat, resets_on_next_step
from agents.config import DQNConfig, OnPolicyConfig
from agents.elastic_weights import hold
from agents.encoding import Encoding, fit, network_inputs
from agents.episode_log import EpisodeLog
from agents.flat_parameters import FlatParameters
from agents.observation_sample import random_observations
from agents.ranks import Ranks

REMEDY = "lower lr, or set agent.normalize_reward=true"
_COUNTERS = ("env_steps", "gradient_steps", "training_epochs")


class BaseAgent:
    """N environment copies and what is known of them.

    Args:
        config: the hyper-parameters.
        envs: N copies with SAME_STEP or NEXT_STEP autoreset; already made, reset by `start`.
        generators: numpy generators named `init`, `policy` and `minibatch`.
        total_steps: env steps that the schedules end at.
        device: where the networks live.
        reward_prior_count: of the statistics of returns; see `normalize.Moments.empty`.
        ranks: the processes that train it together; `envs` are the copies of this one. None: there is one process.
    """

    config: OnPolicyConfig | DQNConfig

    def __init__(
        self,
        config: OnPolicyConfig | DQNConfig,
        envs: VectorEnv,
        *,
        generators: Mapping[str, np.random.Generator],
        total_steps: int,
        device: str,
        reward_prior_count: float = 0.0,
        ranks: Ranks | None = None,
    ):
        self.ranks = ranks
        self.n_copies = envs.num_envs * (1 if ranks is None else ranks.count)  # of all processes
        self.own_copies = slice(None) if ranks is None else ranks.copies(self.n_copies)
        # [N] copies whose episode is over and that the next step resets; None: they reset in the same step.
        self.resetting = np.zeros(envs.num_envs, bool) if resets_on_next_step(envs) else None
        self.config, self.envs, self.generators, self.total_steps = config, envs, generators, total_steps
        self.device = torch.device(device)
        self.observation_space: gym.Space = envs.single_observation_space
        self.action_space: gym.Space = envs.single_action_space
        self.obs_size = int(gym.spaces.flatdim(self.observation_space))
        # The bins that are added to the numbers of an observation; None: none.
        self.encoding = fit(random_observations(envs, ranks), config.input_bins) if config.input_bins else None
        self.obs = np.zeros((envs.num_envs, self.obs_size), np.float32)
        self.mask: np.ndarray | None = None  # [N, A] actions that are legal in `obs`; None: all
        self.obs_moments = normalize.Moments.empty((self.obs_size,)) if config.normalize_obs else None
        self.reward_scale = normalize.RewardScale.start(self.n_copies, reward_prior_count)
        self.log = EpisodeLog.start(self.n_copies)
        self.env_steps = self.gradient_steps = self.training_epochs = 0

    def start(self, seeds: list[int], *, cut: bool = False) -> None:
        """Reset every copy, those of all ranks, with a seed of its own; `cut` gives up the running episodes."""
        if cut:
            self.log.cut()
        obs, infos = self.envs.reset(seed=seeds[self.own_copies])  # type: ignore[arg-type]  # a list is Gymnasium's own
        self.obs = flat(obs, self.envs.num_envs)
        self.mask = read_mask(infos, self.envs.num_envs, self.action_space)
        self.reward_scale = normalize.RewardScale(np.zeros(self.n_copies), self.reward_scale.moments)
        if self.resetting is not None:
            self.resetting[:] = False

    def expect_masks(self, trained_with_masks: bool) -> None:
        """Before the first `learn_from`: its transitions may have masks.

        Args:
            trained_with_masks: whether masks restricted the training so far, as the metadata of a policy says it.
        """
        if trained_with_masks:
            self.mask = np.ones((self.envs.num_envs, int(gym.spaces.flatdim(self.action_space))), bool)

    def inputs(self, obs: np.ndarray) -> np.ndarray:
        """Observations `[…, D]` as the network takes them."""
        return network_inputs(obs, self.obs_moments, self.config.clip_obs, self.encoding)

    @property
    def input_size(self) -> int:
        """How many numbers the network takes."""
        return self.obs_size + (0 if self.encoding is None else self.encoding.size)

    def make_networks(self, rng: np.random.Generator) -> None:
        """The subclass's networks of `input_size` inputs, with first weights from a generator, and their optimiser."""
        raise TypeError("BaseAgent is the part that all agents share; build one of them")

    def take_over_encoding(self, arrays: Mapping[str, np.ndarray]) -> None:
        """That of another agent's arrays or none, and networks of as many inputs where it has another size.

        Raises:
            ValueError: it is damaged.
        """
        size, self.encoding = self.input_size, Encoding.from_arrays(arrays)
        if self.input_size != size:
            self.make_networks(np.random.default_rng(0))  # their weights are taken over, too

    def gradients_of_margin(
        self, scores: Callable[[torch.Tensor], torch.Tensor], obs: np.ndarray, masks: np.ndarray | None
    ) -> np.ndarray:
        """By how much each number of an observation widens the lead of the best action over the second.

        Against it an observation is pushed towards another decision.

        Args:
            scores: network inputs `[B, D]` to scores of actions `[B, A]`, the best with the largest.
            obs: `[B, D]`, as the environment gave them.
            masks: bool `[B, A]`, the actions that are legal; None: all.

        Returns:
            The gradients by `obs`, float32 `[B, D]`; 0 where statistics clip an observation, or one action is legal.

        Raises:
            ValueError: actions are not Discrete.
        """
        if not isinstance(self.action_space, gym.spaces.Discrete):
            raise ValueError("the lead of the best action needs discrete actions")
        obs = np.asarray(obs, np.float32).reshape(len(obs), -1)
        inputs = torch.from_numpy(np.array(self.inputs(obs), np.float32)).to(self.device).requires_grad_()
        found = scores(inputs)
        legal = found if masks is None else found.masked_fill(~torch.from_numpy(masks).to(self.device), -torch.inf)
        if legal.shape[1] < 2:
            return np.zeros_like(obs)
        best = legal.topk(2, dim=1)
        lead = torch.where(torch.isfinite(best.values[:, 1]), best.values[:, 0] - best.values[:, 1], 0.0)
        (gradient,) = torch.autograd.grad(lead.sum(), inputs)
        result, of_bins = np.split(gradient.cpu().numpy(), [self.obs_size], axis=1)
        if self.obs_moments is not None:
            deviation = np.sqrt(self.obs_moments.variance + 1e-8)
            inside = np.abs(inputs.detach().cpu().numpy()[:, : self.obs_size]) < self.config.clip_obs
            result = (result * inside / deviation).astype(np.float32)
        return result if self.encoding is None else result + self.encoding.pull_back(of_bins, obs)

    @property
    def stepped(self) -> Any:
        """What steps the weights: it has them as `flat`, and what holds them as `elastic`."""
        return self

    def fisher(self, inputs: torch.Tensor, masks: torch.Tensor | None) -> np.ndarray:
        """The diagonal Fisher information of the weights `[P]` at inputs `[B, D]`; masks bool `[B, A]`."""
        raise NotImplementedError

    def hold_weights(
        self,
        strength: float,
        obs: np.ndarray,
        masks: np.ndarray | None = None,
        earlier: np.ndarray | None = None,
        decay: float = 1.0,
    ) -> np.ndarray:
        """From now on hold the weights near what they are, as elastic weight consolidation does.

        Args:
            strength: λ.
            obs: `[B, D]` of what was learned before, as the environment gave them; some hundreds are enough.
            masks: bool `[B, A]`, the actions that were legal; None: all.
            earlier, decay: as of `elastic_weights.hold`.

        Returns:
            The Fisher information that holds them, float32 `[P]`; `earlier` of the next call.

        Raises:
            ValueError: a value makes no sense.
        """
        inputs = torch.from_numpy(self.inputs(np.asarray(obs, np.float32))).to(self.device)
        legal = None if masks is None else torch.from_numpy(np.asarray(masks, bool)).to(self.device)
        stepped = self.stepped
        stepped.elastic = hold(stepped.flat.parameter, strength, self.fisher(inputs, legal), earlier, decay)
        return stepped.elastic.fisher.cpu().numpy()

    def check_parameters(self, parameters: FlatParameters) -> None:
        """Check the weights after an update: a finite loss can still lead to weights that no snapshot may hold.

        Raises:
            FloatingPointError: a weight is not finite.
        """
        if not parameters.is_finite():
            raise FloatingPointError(f"a weight is nan or inf after {self.env_steps} env steps: {REMEDY}")

    def check_losses(self, losses: Mapping[str, float]) -> None:
        """Check the losses of an update.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        for name, loss in losses.items():
            if not np.isfinite(loss):
                raise FloatingPointError(f"{name} is {loss} after {self.env_steps} env steps: {REMEDY}")

    def reward_scale_metadata(self) -> dict[str, Any]:
        """The statistics that scale rewards, as a policy checkpoint holds them; empty where rewards are not scaled."""
        return {"reward_scale": self.reward_scale.moments_to_json()} if self.config.normalize_reward else {}

    def initialize_statistics(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Take over the statistics of observations and rewards of a policy checkpoint, before the first step.

        The encoding is taken over before, by `take_over_encoding`, since the networks depend on it.

        Raises:
            ValueError: they are not statistics of what this agent normalises.
        """
        self.obs_moments = take_over_moments(self.obs_moments, "obs", arrays)
        if self.config.normalize_reward and meta.get("reward_scale") is not None:
            self.reward_scale = normalize.RewardScale.from_json(meta["reward_scale"], self.n_copies)

    def torch_state(self) -> dict[str, np.ndarray]:
        """The states of torch's generators, from which dropout draws; see `load_torch_state`."""
        arrays = {"torch_rng": torch.get_rng_state().numpy().copy()}
        if self.device.type == "cuda":
            arrays["cuda_rng"] = torch.cuda.get_rng_state(self.device).numpy().copy()
        return arrays

    def load_torch_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restore what `torch_state` gave."""
        torch.set_rng_state(torch.from_numpy(np.array(arrays["torch_rng"])))
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(torch.from_numpy(np.array(arrays["cuda_rng"])), self.device)

    def state_without_replay(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The `state` of an agent without a replay buffer; see DQN's."""
        return self.state()

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The subclass's state."""
        raise TypeError("BaseAgent is the part that all agents share; build one of them")

    def base_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything here except the environments and `obs_moments`: arrays, and JSON; see `load_base_state`.

        The copies of all ranks are in it.
        """
        of_all = (lambda array: array) if self.ranks is None else self.ranks.gather
        arrays = {"collect.obs": of_all(self.obs), "reward_scale.returns": self.reward_scale.returns}
        arrays |= pack_moments("reward_scale", self.reward_scale.moments)
        if self.resetting is not None:
            arrays["collect.resetting"] = of_all(self.resetting)
        if self.mask is not None:
            arrays["collect.mask"] = of_all(self.mask)
        log, log_meta = self.log.state()
        return arrays | with_prefix("log", log), {
            "generators": {name: generator.bit_generator.state for name, generator in self.generators.items()},
            **{name: getattr(self, name) for name in _COUNTERS},
            **log_meta,
        }

    def load_base_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `base_state` gave, and `obs_moments` from the policy's arrays."""
        own = self.own_copies
        self.obs = np.array(arrays["collect.obs"][own])
        if self.resetting is not None:
            self.resetting[:] = arrays["collect.resetting"][own]
        self.mask = np.array(arrays["collect.mask"][own]) if "collect.mask" in arrays else None
        self.obs_moments = unpack_moments("obs", arrays)
        moments = unpack_moments("reward_scale", arrays)
        assert moments is not None
        self.reward_scale = normalize.RewardScale(np.array(arrays["reward_scale.returns"]), moments)
        self.log = EpisodeLog.restore(without_prefix("log", arrays), meta)
        for name in _COUNTERS:
            setattr(self, name, meta[name])
        for name, generator in self.generators.items():
            generator.bit_generator.state = meta["generators"][name]
