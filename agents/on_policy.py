"""What PPO and A2C share: networks, normalisers, collection, advantages, state; not the update."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from agents import normalize, policy
from agents.advantage import gae
from agents.closed_form import ClosedForm, FlatParameters
from agents.collect import EpisodeLog, Rollout, collect, next_values, resets_on_next_step
from agents.config import OnPolicyConfig
from agents.masks import masked, read_mask
from agents.networks import ActorCritic
from agents.optimizer import Optimizer
from agents.vitals import Vitals

REMEDY = "lower lr, or set agent.normalize_reward=true"


class Batch(NamedTuple):
    """An iteration's experience for the update, B rows (T·N less the fillers): torch tensors, or numpy arrays."""

    obs: Any  # [B, D] as the network sees them
    actions: Any  # [B] or [B, A]
    log_probs: Any  # [B] of the actions when they were taken
    advantages: Any  # [B]
    values: Any  # [B] before the update, in the critic's units
    returns: Any  # [B] in the critic's units
    masks: Any = None  # [B, A] bool, which actions are legal; None: all

    def rows(self, index: np.ndarray | slice) -> Batch:
        """The rows named by an index."""
        return Batch(*(None if column is None else column[index] for column in self))

    def to_numpy(self) -> Batch:
        """The same memory as numpy arrays; on the CPU."""
        return Batch(*(None if column is None else column.numpy() for column in self))


class OnPolicyAgent:
    """Collects with the current policy, estimates advantages, and leaves the update to its subclass.

    Args:
        config: the hyper-parameters.
        envs: N copies with SAME_STEP or NEXT_STEP autoreset; already made, reset by `start`.
        generators: numpy generators named `init`, `policy` and `minibatch`.
        total_steps: env steps that a linear learning-rate schedule ends at.
        device: where the network lives.
    """

    def __init__(
        self,
        config: OnPolicyConfig,
        envs: VectorEnv,
        *,
        generators: Mapping[str, np.random.Generator],
        total_steps: int,
        device: str = "cpu",
    ):
        # Whose episode is over though it is not reset yet; see `collect`.
        self.ended = np.zeros(envs.num_envs, bool) if resets_on_next_step(envs) else None
        self.config, self.envs, self.total_steps = config, envs, total_steps
        self.device = torch.device(device)
        self.generators = generators
        self.observation_space: gym.Space = envs.single_observation_space
        self.action_space: gym.Space = envs.single_action_space
        obs_size = int(gym.spaces.flatdim(self.observation_space))
        # Dropout and batch norm draw from torch's own generator.
        torch.manual_seed(int(generators["init"].integers(2**31)))
        self.network = ActorCritic(
            obs_size, self.action_space, config.network, generators["init"], config.log_std_init
        ).to(self.device)
        self.network.eval()
        self.action_size = self.network.actor_head.out_features
        self.obs_moments = normalize.Moments.empty((obs_size,)) if config.normalize_obs else None
        self.return_moments = normalize.Moments.empty() if config.normalize_return else None
        self.reward_scale = normalize.RewardScale.start(envs.num_envs, config.reward_prior_count)
        self.flat = FlatParameters(self.network)
        self.closed_form = (
            ClosedForm(self.network, config.network) if ClosedForm.serves(config.network, self.device) else None
        )
        self.optimizer = self.make_optimizer()
        self.vitals = Vitals(self.network, self._inputs, total_steps)
        self.log = EpisodeLog.start(envs.num_envs)
        self.env_steps = self.gradient_steps = self.training_epochs = 0
        self.obs = np.zeros((envs.num_envs, obs_size), np.float32)
        self.mask: np.ndarray | None = None  # [N, A] actions that are legal in `obs`; None: all

    def make_optimizer(self) -> Optimizer:
        """The subclass's optimiser."""
        raise TypeError("OnPolicyAgent is the part that PPO and A2C share; build one of them")

    def update(self, batch: Batch) -> dict[str, float]:
        """The subclass's learning step on one batch; returns its losses."""
        raise TypeError("OnPolicyAgent is the part that PPO and A2C share; build one of them")

    def normalized(self, advantages: Any) -> Any:
        """Advantages `[B]` of mean 0 and deviation 1 where the config asks for it; tensors or arrays."""
        if not self.config.normalize_advantage or len(advantages) < 2:
            return advantages
        centred = advantages - advantages.mean()
        # The unbiased deviation, as torch and Stable-Baselines3 have it.
        return centred / (((centred * centred).sum() / (len(centred) - 1)) ** 0.5 + 1e-8)

    def apply_gradient(self) -> None:
        """Clip the gradient that the update wrote, and step."""
        self.vitals.gradient(self.flat.parameter.grad)
        self.flat.clip_gradient(self.config.max_grad_norm)
        self.optimizer.step()

    @property
    def steps_per_iteration(self) -> int:
        """Env steps that one `iterate` collects; fewer by the fillers of environments with NEXT_STEP autoreset."""
        return self.config.n_steps * self.envs.num_envs

    def start(self, seeds: list[int], *, cut: bool = False) -> None:
        """Reset every copy with a seed of its own; `cut` gives up episodes in flight."""
        if cut:
            self.log.cut()
        obs, infos = self.envs.reset(seed=seeds)  # type: ignore[arg-type]  # a list is Gymnasium's own
        self.obs = np.asarray(obs, np.float32).reshape(self.envs.num_envs, -1)
        self.mask = read_mask(infos, self.envs.num_envs, self.action_space)
        self.reward_scale = normalize.RewardScale(np.zeros(self.envs.num_envs), self.reward_scale.moments)
        if self.ended is not None:
            self.ended[:] = False

    def iterate(self) -> dict[str, float]:
        """Collect, update, and report: one row of metrics.

        Raises:
            FloatingPointError: a reward, an observation or a loss is not finite.
        """
        config = self.config
        rollout = self._collect()
        batch, explained = self._prepare(rollout)
        self.vitals.before_update(rollout, self.env_steps)
        lr = config.lr
        if config.lr_schedule == "linear":
            lr *= max(0.0, 1.0 - self.env_steps / self.total_steps)
        self.optimizer.lr = lr
        if self.closed_form is None:  # dropout and batch norm learn in another mode than they act
            self.network.train()
        losses = self.update(batch)
        if self.closed_form is None:
            self.network.eval()
        for name, loss in losses.items():
            if not np.isfinite(loss):
                raise FloatingPointError(f"{name} is {loss} after {self.env_steps} env steps: {REMEDY}")
        # A finite loss can still have stepped to weights that are not, which no snapshot may hold.
        if not np.isfinite(float(self.flat.parameter.detach().sum())):
            raise FloatingPointError(f"a weight is nan or inf after {self.env_steps} env steps: {REMEDY}")
        self.env_steps += rollout.size
        if self.obs_moments is not None:  # once a rollout, so that collection saw one fixed scale
            self.obs_moments = normalize.update(self.obs_moments, rollout.transitions(rollout.obs), "observations")
        metrics = {
            "episode_return_mean": _mean(self.log.returns),
            "episode_length_mean": _mean(self.log.lengths),
            **losses,
            "explained_variance": explained,
            "lr": lr,
            **self.vitals.after_update(),
        }
        metrics |= {f"reward/{name}": mean for name, mean in rollout.reward_terms.items()}
        if self.network.discrete:
            counts = np.bincount(rollout.transitions(rollout.actions), minlength=self.action_size)
            metrics |= {f"action/{a}": float(count) / rollout.size for a, count in enumerate(counts)}
        else:
            metrics["action_std"] = float(self.network.log_std.detach().exp().mean())
        return metrics

    def _inputs(self, obs: np.ndarray) -> np.ndarray:
        if self.obs_moments is None:
            return obs
        return normalize.normalize(obs, self.obs_moments, self.config.clip_obs)

    @torch.inference_mode()
    def _collect(self) -> Rollout:
        config, rng = self.config, self.generators["policy"]
        shape = (config.n_steps, self.envs.num_envs, self.action_size)
        if self.network.discrete:
            noise = rng.gumbel(size=shape)
        else:
            noise = rng.standard_normal(shape)
            std = self.network.log_std.exp().cpu().numpy()

        def act(
            obs: np.ndarray, draw: np.ndarray, mask: np.ndarray | None
        ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
            inputs = self._inputs(obs)
            if self.closed_form is not None:
                parameters = self.closed_form.actor.forward(inputs)
            else:
                on_device = torch.from_numpy(inputs).to(self.device)
                parameters = self.network.parameters_of_actions(on_device).cpu().numpy()
            if self.network.discrete:
                parameters = masked(parameters, mask)
                actions = (parameters + draw).argmax(axis=-1)  # Gumbel-max
            else:
                actions = (parameters + std * draw).astype(np.float32)
            return inputs, parameters, actions, policy.to_environment(actions, self.action_space)

        rollout = collect(self.envs, self.obs, act, noise, self.log, self.ended, self.mask)
        self.obs, self.mask = rollout.next_obs, rollout.next_mask
        return rollout if rollout.size else self._collect()  # one step of copies that were all to be reset

    @torch.no_grad()  # not inference mode: the update takes gradients through functions of these tensors
    def _prepare(self, rollout: Rollout) -> tuple[Batch, float]:
        """Advantages and value targets; and the variance of the targets that the critic explains."""
        config = self.config
        steps, n_envs = rollout.rewards.shape
        extra = self._inputs(np.concatenate([rollout.next_obs, rollout.final_obs]))
        inputs = torch.from_numpy(np.concatenate([rollout.inputs.reshape(steps * n_envs, -1), extra]))
        if self.closed_form is not None:
            critic = self.closed_form.critic.forward(inputs.numpy())[:, 0].astype(np.float64)
        else:
            critic = self.network.values(inputs.to(self.device)).cpu().numpy().astype(np.float64)
        values = critic if self.return_moments is None else normalize.denormalize(critic, self.return_moments)
        before, last, final = np.split(values, [steps * n_envs, steps * n_envs + n_envs])
        before = before.reshape(steps, n_envs)
        rewards = rollout.rewards.astype(np.float64)
        if config.normalize_reward:
            scaled, self.reward_scale = normalize.scale_rewards(
                rewards, rollout.done, self.reward_scale, config.gamma, config.clip_reward, real=rollout.real
            )
            rewards = scaled.astype(np.float64)
        advantages = rollout.transitions(
            gae(
                rewards,
                before,
                next_values(rollout, before, last, final),
                rollout.terminated,
                rollout.done,
                config.gamma,
                config.gae_lambda,
            )
        )
        before = rollout.transitions(before)
        returns = advantages + before
        spread = float(np.var(returns))
        explained = 1.0 - float(np.var(returns - before)) / spread if spread > 0 else float("nan")
        targets = returns
        if self.return_moments is not None:
            self.return_moments = normalize.update(self.return_moments, returns, "returns")
            targets = normalize.normalize(returns, self.return_moments)
        actions = torch.from_numpy(rollout.transitions(rollout.actions))
        parameters = rollout.transitions(rollout.parameters)
        if self.closed_form is not None:
            log_probs = torch.from_numpy(self.closed_form.log_probs(parameters, actions.numpy()))
        else:
            on_device = torch.from_numpy(parameters).to(self.device)
            log_probs, _ = self.network.log_prob_and_entropy(on_device, actions.to(self.device))

        def column(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array.astype(np.float32)).to(self.device)

        batch = Batch(
            obs=torch.from_numpy(rollout.transitions(rollout.inputs)).to(self.device),
            actions=actions.to(self.device),
            log_probs=log_probs,
            advantages=column(advantages),
            values=column(rollout.transitions(critic[: steps * n_envs].reshape(steps, n_envs))),
            returns=column(targets),
            masks=None
            if rollout.masks is None
            else torch.from_numpy(rollout.transitions(rollout.masks)).to(self.device),
        )
        return batch, explained

    def policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights and normalisers, and the metadata that `agents.policy.load` needs."""
        arrays = policy.pack(self.network, self.obs_moments, self.return_moments)
        return arrays, policy.metadata(
            self.observation_space,
            self.action_space,
            self.config.network,
            self.config.clip_obs,
            action_masks=self.mask is not None,
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything but the environments: arrays, and JSON. `load_state` restores it to the bit."""
        arrays, _ = self.policy_checkpoint()
        arrays |= {f"optimizer.{name}": array for name, array in self.optimizer.state().items()}
        arrays["collect.obs"] = self.obs
        if self.ended is not None:
            arrays["collect.ended"] = self.ended
        if self.mask is not None:
            arrays["collect.mask"] = self.mask
        log, log_meta = self.log.state()
        arrays |= {f"collect.{name}": array for name, array in log.items()}
        arrays["reward_scale.returns"] = self.reward_scale.returns
        arrays["reward_scale.moments"] = np.array(
            [self.reward_scale.moments.count, self.reward_scale.moments.mean, self.reward_scale.moments.m2]
        )
        arrays["torch_rng"] = torch.get_rng_state().numpy().copy()
        own, vitals = self.vitals.state()
        arrays |= {f"vitals.{name}": array for name, array in own.items()}
        return arrays, {
            "generators": {name: generator.bit_generator.state for name, generator in self.generators.items()},
            "env_steps": self.env_steps,
            "gradient_steps": self.gradient_steps,
            "training_epochs": self.training_epochs,
            **log_meta,
            "vitals": vitals,
        }

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave; random states last."""
        own = {name: a for name, a in arrays.items() if name.startswith(("network.", "obs.", "return."))}
        self.obs_moments, self.return_moments = policy.unpack(self.network, own)
        own = {name.removeprefix("optimizer."): a for name, a in arrays.items() if name.startswith("optimizer.")}
        self.optimizer.load_state(own)
        self.obs = np.array(arrays["collect.obs"])
        if self.ended is not None:
            self.ended[:] = arrays["collect.ended"]
        self.mask = np.array(arrays["collect.mask"]) if "collect.mask" in arrays else None
        count, mean, m2 = (float(v) for v in arrays["reward_scale.moments"])
        self.reward_scale = normalize.RewardScale(
            np.array(arrays["reward_scale.returns"]), normalize.Moments(count, np.asarray(mean), np.asarray(m2))
        )
        own = {name.removeprefix("collect."): a for name, a in arrays.items() if name.startswith("collect.")}
        self.log = EpisodeLog.restore(own, meta)
        self.env_steps, self.gradient_steps = meta["env_steps"], meta["gradient_steps"]
        self.training_epochs = meta["training_epochs"]
        own = {name.removeprefix("vitals."): a for name, a in arrays.items() if name.startswith("vitals.")}
        self.vitals.load_state(own, meta["vitals"])
        for name, generator in self.generators.items():
            generator.bit_generator.state = meta["generators"][name]
        torch.set_rng_state(torch.from_numpy(np.array(arrays["torch_rng"])))


def _mean(values: deque) -> float:
    """Of the latest episodes; NaN before the first one."""
    return sum(values) / len(values) if values else float("nan")
