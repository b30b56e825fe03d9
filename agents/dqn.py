"""The DQN agent: deep Q-learning.

Mnih et al., *Human-level control through deep reinforcement learning*, Nature 2015, with the parts of Hessel et al.,
*Rainbow* (AAAI 2018): double Q-learning (`q_learning.py`), dueling networks (`perceptron.py`, `q_network.py`), n-step
returns (`replay.py`) and prioritised replay (`replay_sampling.py`).

A round is `train_every` steps of every copy with an ε-greedy policy, then as many gradient steps as are due
(`off_policy.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents import policy
from agents.action_masks import masked, refuse_late_mask
from agents.collect import Step, add_reward_terms, check_finite, step_copies
from agents.config import DQNConfig
from agents.health_metrics import MEASUREMENTS, ROWS, modal_share, unit_shares
from agents.off_policy import CollectedSteps, OffPolicyAgent
from agents.q_metrics import NAN, UpdateLog, largest_return, update_metrics
from agents.schedules import beta, epsilon, learning_rate
from agents.shared_replay import SharedReplay

ITERATION_STEPS = 256  # env steps of an iteration at least, so that a row of metrics costs little in comparison


class DQN(OffPolicyAgent):
    """Q-learning on steps that an ε-greedy policy collects.

    Args and errors: those of `OffPolicyAgent`.
    """

    def __init__(self, config: DQNConfig, envs: VectorEnv, **keywords: Any):
        super().__init__(config, envs, **keywords)
        self._rounds = max(ITERATION_STEPS // (config.train_every * envs.num_envs), 1)

    @property
    def steps_per_iteration(self) -> int:
        """Env steps that one `iterate` collects; fewer by the resets of environments with NEXT_STEP autoreset."""
        return self._rounds * self.config.train_every * self.envs.num_envs

    def iterate(self) -> dict[str, float]:
        """Some rounds of steps and updates, and a row of metrics on them.

        Raises:
            FloatingPointError: a reward, an observation, a loss or a weight is not finite.
        """
        self.learner.optimizer.lr = learning_rate(self.config, self.env_steps, self.total_steps)
        updates, action_counts = UpdateLog(), np.zeros(self.actions, np.int64)
        reward_terms: dict[str, float] = {}
        for _ in range(self._rounds):
            steps = self._collect(reward_terms)
            action_counts += np.bincount(steps.actions[steps.valid], minlength=self.actions)
            self._update_statistics(steps)
            self._learn(updates)
        losses = update_metrics(updates, self.config, self._deviation(), len(self.buffer))
        if updates.td_errors:
            self.check_losses({"value_loss": losses["value_loss"]})
        self.check_parameters(self.learner.flat)
        count = max(int(action_counts.sum()), 1)
        metrics = {
            **self.log.metrics(),
            **losses,
            "q_bound": largest_return(self.largest_reward, self.config.gamma),
            "epsilon": epsilon(self.config, self.env_steps, self.total_steps),
            "beta": beta(self.config, self.env_steps, self.total_steps) if self.config.prioritized else NAN,
            "replay_fill": len(self.buffer) / self.buffer.size,
            "lr": self.learner.optimizer.lr,
            **self._health_metrics(),
        }
        if isinstance(self.buffer, SharedReplay):
            metrics |= {"peers/env_steps": self.buffer.received, "peers/missed_messages": self.buffer.missed}
        metrics |= {f"reward/{name}": total / count for name, total in reward_terms.items()}
        return metrics | {f"action/{a}": share for a, share in enumerate((action_counts / count).tolist())}

    def _collect(self, reward_terms: dict[str, float]) -> CollectedSteps:
        """`train_every` steps of every copy, into the buffer; adds to the sums of the reward terms.

        Raises:
            FloatingPointError: an observation or a reward is not finite.
            ValueError: an action mask is missing or not valid.
        """
        rng, steps, copies = self.generators["policy"], self.config.train_every, self.envs.num_envs
        if self.mask is None:
            random_actions = rng.integers(self.actions, size=(steps, copies))
        else:  # the legal action with the largest of A uniform numbers, chosen when the mask is known
            random_actions, uniforms = np.empty((steps, copies), np.int64), rng.random((steps, copies, self.actions))
        collected = CollectedSteps(
            obs=np.empty((steps, *self.obs.shape), np.float32),
            actions=random_actions,
            rewards=np.zeros((steps, copies)),
            done=np.empty((steps, copies), bool),
            valid=np.ones((steps, copies), bool),
        )
        explores, final_obs = rng.random((steps, copies)), []
        for t in range(steps):
            collected.obs[t] = self.obs  # before the step: an environment may write into the array it gave
            obs, actions, mask = collected.obs[t], collected.actions[t], self.mask
            if mask is not None:
                actions[:] = masked(uniforms[t], mask).argmax(axis=1)
            greedy = explores[t] >= epsilon(self.config, self.env_steps, self.total_steps)
            if greedy.any():
                q_values = masked(self.learner.values.q_values(self.inputs(obs)), mask)
                actions[greedy] = q_values.argmax(axis=1)[greedy]
            env_actions = policy.to_environment(actions, self.action_space)
            step = step_copies(self.envs, env_actions, self.log, self.resetting, mask)
            rewards = self._learned_rewards(step)
            self.buffer.add(
                obs,
                actions,
                rewards,
                step.terminated,
                step.truncated,
                step.final_obs,
                step.valid,
                mask,
                step.final_mask,
            )
            if step.final_obs is not None:
                final_obs.append(step.final_obs)
            if step.valid is not None:
                collected.valid[t] = step.valid
            collected.rewards[t], collected.done[t] = rewards, step.done
            add_reward_terms(reward_terms, step)
            self.env_steps += copies if step.valid is None else int(step.valid.sum())
            self.obs, self.mask = step.obs, step.mask
        if self.mask is None:
            refuse_late_mask(step.infos)
        check_finite({"rewards": collected.rewards, "obs": collected.obs, "final_obs": np.array(final_obs)})
        return collected

    def _learned_rewards(self, step: Step) -> np.ndarray:
        """Rewards `[N]` with the bonus for novelty, which counts visits (Bellemare et al. 2016, eq. 7)."""
        if not self.config.novelty_bonus:
            return step.rewards
        bonus = np.float32(self.config.novelty_bonus) * step.infos["outcome"]["novelty"]
        return step.rewards + (bonus if step.valid is None else np.where(step.valid, bonus, 0.0))

    def _health_metrics(self) -> dict[str, float]:
        """Health metrics on transitions from the buffer, about 20 times per run; see `health_metrics.py`."""
        names = ("greedy_share", "dormant_share", "saturated_share")
        if self.env_steps < self.next_measurement or not len(self.buffer):
            return dict.fromkeys(names, NAN)
        self.next_measurement = self.env_steps + max(self.total_steps // MEASUREMENTS, 1)
        # A generator of its own: a measurement may not change what is learned.
        batch = self.buffer.sample(min(ROWS, len(self.buffer)), np.random.default_rng(self.env_steps))
        inputs, network = self.inputs(batch.obs), self.learner.online
        with torch.inference_mode():
            features = torch.from_numpy(inputs).to(self.device)
            features = features if network.attention is None else network.attention(features)
        q_values = masked(self.learner.values.q_values(inputs), batch.masks)
        return dict(zip(names, (modal_share(q_values), *unit_shares([(network.body, features)])), strict=True))
