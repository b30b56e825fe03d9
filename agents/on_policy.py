"""`OnPolicyAgent`: base class of PPO and A2C: the network, collection, advantages and state, without the update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from agents import normalize, policy
from agents.action_masks import masked
from agents.advantage import LARGEST_LOG_RATIO, gae, vtrace
from agents.base_agent import BaseAgent
from agents.checkpoint_arrays import take_over_moments, unpack_moments, with_prefix, without_prefix
from agents.closed_form_gradients import ClosedForm
from agents.collect import Rollout, collect, next_values
from agents.config import OnPolicyConfig
from agents.elastic_weights import ElasticWeights, actor_critic_fisher
from agents.experience import Experience
from agents.flat_parameters import FlatParameters
from agents.health_metrics import HealthMetrics
from agents.networks import ActorCritic, load_arrays
from agents.optimizer import Optimizer
from agents.ranks import Ranks, Share, WholeRollout
from agents.schedules import learning_rate
from agents.transitions import Transitions, as_rollout, grid


class OnPolicyAgent(BaseAgent):
    """Collects with the current policy, estimates advantages, and leaves the update to its subclass.

    Args:
        config: the hyper-parameters.
        envs, generators, total_steps, device: as in `BaseAgent`.
        folder: not used; other agents keep files there.
        ranks: as in `BaseAgent`; then every method that collects, learns or gives the state waits for all ranks.
    """

    config: OnPolicyConfig

    def __init__(
        self,
        config: OnPolicyConfig,
        envs: VectorEnv,
        *,
        generators: Mapping[str, np.random.Generator],
        total_steps: int,
        device: str = "cpu",
        folder: Path | None = None,
        ranks: Ranks | None = None,
    ):
        super().__init__(
            config,
            envs,
            generators=generators,
            total_steps=total_steps,
            device=device,
            reward_prior_count=config.reward_prior_count,
            ranks=ranks,
        )
        self.whole: WholeRollout | None = None  # what all ranks collected last
        self.share: Share | None = None  # this rank's part of it; None: there is one process
        # Dropout and batch norm draw from torch's own generator.
        torch.manual_seed(int(generators["init"].integers(2**31)))
        self.make_networks(generators["init"])
        self.action_size = self.network.actor_head.out_features
        self.return_moments = normalize.Moments.empty() if config.normalize_return else None
        self.elastic: ElasticWeights | None = None  # what holds the weights near those of earlier learning
        # Stream -> its discounted return so far, of streams that go on after the latest `learn_from`.
        self._carried_returns: dict[int, float] = {}

    def make_networks(self, rng: np.random.Generator) -> None:
        """As of `BaseAgent.make_networks`."""
        config = self.config
        self.network = ActorCritic(self.input_size, self.action_space, config.network, rng, config.log_std_init)
        self.network.to(self.device).eval()
        self.flat = FlatParameters(self.network)
        self.closed_form = (
            ClosedForm.of(self.network, config.network) if ClosedForm.serves(config.network, self.device) else None
        )
        self.optimizer = self.make_optimizer()
        self.health = HealthMetrics(self.network, self.inputs, self.total_steps)

    def make_optimizer(self) -> Optimizer:
        """The subclass's optimiser."""
        raise TypeError("OnPolicyAgent is the part that PPO and A2C share; build one of them")

    def update(self, experience: Experience) -> dict[str, float]:
        """The subclass's learning step on the transitions of one rollout; returns its losses."""
        raise TypeError("OnPolicyAgent is the part that PPO and A2C share; build one of them")

    def apply_gradient(self) -> None:
        """Add up the gradients that the updates of all ranks wrote, add that of `elastic`, clip, and step."""
        if self.ranks is not None:
            assert self.flat.parameter.grad is not None
            self.ranks.add_up(self.flat.parameter.grad)
        if self.elastic is not None:
            assert self.flat.parameter.grad is not None
            self.elastic.add_gradient(self.flat.parameter, self.flat.parameter.grad)
        self.health.add_gradient(self.flat.parameter.grad)
        self.flat.clip_gradient(self.config.max_grad_norm)
        self.optimizer.step()

    @property
    def all_actions(self) -> bool:
        """Whether it learns from what every action of a step would have earned."""
        return False

    @property
    def steps_per_iteration(self) -> int:
        """Env steps that one `iterate` collects; fewer by the resets of environments with NEXT_STEP autoreset."""
        return self.config.n_steps * self.n_copies

    def column(self, array: np.ndarray) -> Any:
        """A column of the experience that `update` learns from, as the gradients take it."""
        return array if self.closed_form is not None else torch.from_numpy(array).to(self.device)

    def mean_of_ranks(self, values: Sequence[float], rows: int) -> list[float]:
        """Means over the rows of all ranks, from those over the `rows` rows of this one."""
        return list(values) if self.ranks is None else self.ranks.mean(np.array(values), rows).tolist()

    def iterate(self) -> dict[str, float]:
        """Collect, update, and report: one row of metrics.

        Raises:
            FloatingPointError: a reward, an observation, a loss or a weight is not finite.
        """
        return self._learn(self.collect())

    @property
    def transitions_needed(self) -> int:
        """The least number of transitions for `learn_from`."""
        return self.steps_per_iteration

    def learn_from(self, columns: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Update from steps that were taken elsewhere, as `iterate` does from its own; a row of metrics.

        Args:
            columns: those of `Transitions`; with `log_propensities` where another policy than this one chose.

        Raises:
            FloatingPointError: a reward, an observation, a loss or a weight is not finite.
        """
        transitions = Transitions(**columns)
        cells = grid(transitions.streams, self._carried_returns.__contains__)
        rollout = as_rollout(transitions, cells, self._inputs_and_parameters)
        first, last = transitions.streams[cells[0]], transitions.streams[cells[-1]]
        returns = np.array([self._carried_returns.get(stream, 0.0) for stream in first.tolist()])
        self.reward_scale = normalize.RewardScale(returns, self.reward_scale.moments)
        metrics = self._learn(rollout)
        goes_on = (cells[-1] >= 0) & ~rollout.done[-1]
        carried = zip(last[goes_on].tolist(), self.reward_scale.returns[goes_on].tolist(), strict=True)
        self._carried_returns = dict(carried)
        return metrics

    def _learn(self, rollout: Rollout) -> dict[str, float]:
        experience, explained_variance = self.before_update(rollout)
        if self.closed_form is None:  # dropout and batch norm learn in another mode than they act
            self.network.train()
        losses = self.update(experience)
        if self.closed_form is None:
            self.network.eval()
        return self.after_update(rollout, losses, explained_variance)

    def before_update(self, rollout: Rollout) -> tuple[Experience, float]:
        """What `update` learns from, and the share of the targets' variance that the critic explains."""
        experience, explained_variance = self._prepare(rollout)
        self.health.before_update(rollout, self.env_steps)
        self.optimizer.lr = learning_rate(self.config, self.env_steps, self.total_steps)
        return experience, explained_variance

    def after_update(
        self, rollout: Rollout, losses: Mapping[str, float], explained_variance: float
    ) -> dict[str, float]:
        """Count the steps, take in the observations, and report: one row of metrics.

        Raises:
            FloatingPointError: a loss or a weight is not finite.
        """
        self.check_losses(losses)
        self.check_parameters(self.flat)
        size = rollout.size if self.whole is None else self.whole.size
        self.env_steps += size
        # Once a rollout, so that collection has one fixed scale; weights that are held keep the scale of their inputs.
        if self.obs_moments is not None and self.elastic is None:
            moments = normalize.of(rollout.transitions(rollout.obs), "observations")
            moments = moments if self.ranks is None else self.ranks.merge(moments)
            self.obs_moments = normalize.merge(self.obs_moments, moments)
        metrics = {
            **self.log.metrics(),
            **losses,
            "explained_variance": explained_variance,
            "lr": self.optimizer.lr,
            **self.health.after_update(),
        }
        terms = self.mean_of_ranks(list(rollout.reward_terms.values()), rollout.size)
        metrics |= {f"reward/{name}": mean for name, mean in zip(rollout.reward_terms, terms, strict=True)}
        if self.network.discrete:
            counts = np.bincount(rollout.transitions(rollout.actions), minlength=self.action_size)
            shares = self.mean_of_ranks([float(count) / max(rollout.size, 1) for count in counts], rollout.size)
            metrics |= {f"action/{a}": share for a, share in enumerate(shares)}
        else:
            metrics["action_std"] = float(self.network.log_std.detach().exp().mean())
        return metrics

    @torch.inference_mode()
    def collect(self) -> Rollout:
        """The steps of an iteration.

        Raises:
            FloatingPointError: a reward or an observation is not finite.
        """
        config, rng = self.config, self.generators["policy"]
        shape = (config.n_steps, self.n_copies, self.action_size)
        if self.network.discrete:
            noise = rng.gumbel(size=shape)
        else:
            noise = rng.standard_normal(shape)
            std = self.network.log_std.exp().cpu().numpy()

        closed_form, values = self.closed_form, []

        def act(
            obs: np.ndarray, noise: np.ndarray, mask: np.ndarray | None
        ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
            inputs, parameters = self._inputs_and_parameters(obs, mask)
            if closed_form is not None and closed_form.shared:
                values.append(closed_form.critic.outputs(closed_form.actor.latest_features)[:, 0])
            if self.network.discrete:
                actions = (parameters + noise).argmax(axis=-1)  # Gumbel-max
            else:
                actions = (parameters + std * noise).astype(np.float32)
            return inputs, parameters, actions, policy.to_environment(actions, self.action_space)

        log = self.log if self.ranks is None else None
        every_reward = self.envs.rewards_of_actions if self.all_actions else None  # type: ignore[attr-defined]
        noise = noise[:, self.own_copies]
        rollout = collect(self.envs, self.obs, act, noise, log, self.resetting, self.mask, every_reward)
        rollout.values = np.stack(values) if values else None
        self.obs, self.mask = rollout.next_obs, rollout.next_mask
        size = rollout.size
        if self.ranks is not None:
            self.whole = WholeRollout.gather(self.ranks, rollout)
            self.whole.count(self.log)
            size = self.whole.size
        return rollout if size else self.collect()  # it was one step that reset every copy

    @torch.no_grad()
    def _inputs_and_parameters(self, obs: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Network inputs `[N, D]`, and the logits, of legal actions, or means `[N, A]`."""
        inputs = self.inputs(obs)
        if self.closed_form is not None:
            parameters = self.closed_form.actor.forward(inputs)
        else:
            on_device = torch.from_numpy(inputs).to(self.device)
            parameters = self.network.parameters_of_actions(on_device).cpu().numpy()
        return inputs, masked(parameters, mask) if self.network.discrete else parameters

    @torch.no_grad()  # not inference mode: the update takes gradients through functions of these tensors
    def _prepare(self, rollout: Rollout) -> tuple[Experience, float]:
        """Advantages and value targets; and the share of the targets' variance that the critic explains."""
        config = self.config
        steps, n_envs = rollout.rewards.shape
        critic, last, final = self._values(rollout)
        values = critic.reshape(steps, n_envs)
        if self.return_moments is not None:
            values, last, final = (normalize.denormalize(v, self.return_moments) for v in (values, last, final))
        everyone: Rollout | WholeRollout = self.whole or rollout
        rewards = everyone.rewards.astype(np.float64)
        if config.normalize_reward:
            scaled, self.reward_scale = normalize.scale_rewards(
                rewards, everyone.done, self.reward_scale, config.gamma, config.clip_reward, valid=everyone.valid
            )
            rewards = scaled.astype(np.float64)
        following = next_values(rollout, values, last, final)
        steps_and_rates = (rollout.terminated, rollout.done, config.gamma, config.gae_lambda)
        if rollout.log_propensities is None:
            advantages = corrections = gae(rewards[:, self.own_copies], values, following, *steps_and_rates)
        else:
            ratios = np.exp(np.minimum(self._log_probs(rollout) - rollout.log_propensities, LARGEST_LOG_RATIO))
            advantages, corrections = vtrace(rewards, values, following, *steps_and_rates, ratios)
        # Of all ranks: every one takes the same statistics of them.
        advantages, values = everyone.transitions(advantages), everyone.transitions(values)
        returns = everyone.transitions(corrections) + values
        variance = float(np.var(returns))
        explained_variance = 1.0 - float(np.var(returns - values)) / variance if variance > 0 else float("nan")
        targets = returns
        if self.return_moments is not None:
            self.return_moments = normalize.update(self.return_moments, returns, "returns")
            targets = normalize.normalize(returns, self.return_moments)
        advantages = advantages.astype(np.float32)
        if self.whole is not None:
            self.share = Share(self.whole.own_rows(), advantages)
            advantages, targets = advantages[self.share.rows], targets[self.share.rows]

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(array).to(self.device)

        actions = rollout.transitions(rollout.actions)
        log_probs = self._log_probs_of(rollout.transitions(rollout.parameters), actions)
        experience = Experience(
            obs=tensor(rollout.transitions(rollout.inputs)),
            actions=tensor(actions),
            log_probs=log_probs,
            advantages=tensor(advantages),
            values=tensor(rollout.transitions(critic.reshape(steps, n_envs)).astype(np.float32)),
            returns=tensor(targets.astype(np.float32)),
            masks=None if rollout.masks is None else tensor(rollout.transitions(rollout.masks)),
            rewards_of_actions=(
                None if rollout.rewards_of_actions is None else tensor(rollout.transitions(rollout.rewards_of_actions))
            ),
        )
        return experience, explained_variance

    @torch.no_grad()
    def _log_probs_of(self, parameters: np.ndarray, actions: np.ndarray) -> Tensor:
        """Log-probabilities `[B]` of actions under distributions with these parameters `[B, A]`."""
        if self.closed_form is not None:
            return torch.from_numpy(self.closed_form.log_probs(parameters, actions)).to(self.device)
        on_device = [torch.from_numpy(array).to(self.device) for array in (parameters, actions)]
        return self.network.log_prob_and_entropy(*on_device)[0]

    def _log_probs(self, rollout: Rollout) -> np.ndarray:
        """Log-probabilities `[T, N]` of the actions of a rollout by the present policy; 0 if there is none."""
        rows = self._log_probs_of(rollout.transitions(rollout.parameters), rollout.transitions(rollout.actions))
        result = np.zeros(rollout.rewards.shape)
        result[... if rollout.valid is None else rollout.valid] = (
            rows.cpu().numpy().reshape(rollout.rewards.shape if rollout.valid is None else -1)
        )
        return result

    def _values(self, rollout: Rollout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The critic's outputs, float64: `[T · N]` of the rollout, `[N]` of `next_obs` and `[K]` of `final_obs`."""
        steps = rollout.rewards.size
        inputs = self.inputs(np.concatenate([rollout.next_obs, rollout.final_obs]))
        if rollout.values is None:
            inputs = np.concatenate([rollout.inputs.reshape(steps, -1), inputs])
        if self.closed_form is not None:
            values = self.closed_form.critic.forward(inputs)[:, 0]
        else:
            values = self.network.values(torch.from_numpy(inputs).to(self.device)).cpu().numpy()
        if rollout.values is not None:
            values = np.concatenate([rollout.values.ravel(), values])
        critic, last, final = np.split(values.astype(np.float64), [steps, steps + len(rollout.next_obs)])
        return critic, last, final

    def margin_gradients(self, obs: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        """As of `BaseAgent.gradients_of_margin`, of logits."""
        return self.gradients_of_margin(self.network.parameters_of_actions, obs, masks)

    def fisher(self, inputs: torch.Tensor, masks: torch.Tensor | None) -> np.ndarray:
        """As of `elastic_weights.actor_critic_fisher`."""
        return actor_critic_fisher(self.network, inputs, masks)

    def policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights and normalisers, and the metadata that `policy.load` and `initialize` need."""
        arrays = policy.pack(self.network, self.obs_moments, self.return_moments, self.encoding)
        meta = policy.metadata(
            self.observation_space,
            self.action_space,
            self.config.network,
            self.config.clip_obs,
            action_masks=self.mask is not None,
        )
        return arrays, {**meta, **self.reward_scale_metadata()}

    def initialize(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Take over the weights and statistics of another agent's `policy_checkpoint`, before the first step.

        The optimiser, the counters and the random states stay new. Reward statistics are new without `reward_scale`.

        Raises:
            ValueError: the weights or the statistics are those of another network.
        """
        self.take_over_encoding(arrays)
        load_arrays(self.network, without_prefix("network", arrays))
        self.return_moments = take_over_moments(self.return_moments, "return", arrays)
        self.initialize_statistics(arrays, meta)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything except the environments: arrays, and JSON. `load_state` restores it to the bit."""
        arrays, meta = self.base_state()
        health, health_meta = self.health.state()
        arrays |= self.policy_checkpoint()[0] | with_prefix("optimizer", self.optimizer.state())
        arrays |= with_prefix("health", health)
        return arrays | self.torch_state(), {**meta, "health": health_meta}

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave."""
        self.take_over_encoding(arrays)
        load_arrays(self.network, without_prefix("network", arrays))
        self.return_moments = unpack_moments("return", arrays)
        self.optimizer.load_state(without_prefix("optimizer", arrays))
        self.health.load_state(without_prefix("health", arrays), meta["health"])
        self.load_base_state(arrays, meta)
        self.load_torch_state(arrays)
