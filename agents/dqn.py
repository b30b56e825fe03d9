"""Deep Q-learning.

Mnih et al., *Human-level control through deep reinforcement learning*, Nature 2015, and of what Hessel et al.,
*Rainbow* (AAAI 2018) adds: double Q-learning (`q_learning.py`), dueling networks (`perceptron.py`, `q_network.py`),
n-step returns and prioritised replay (`replay.py`).

A round is `train_every` steps of every copy with an ε-greedy policy, then as many gradient steps as are due.
Rewards and observations are kept as the environment gave them and scaled when they are drawn, by the statistics of
that moment: nothing in the buffer is ever on an old scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from agents import normalize, policy, q_metrics, q_policy
from agents.collect import EpisodeLog, resets_on_next_step
from agents.config import DQNConfig
from agents.exploration import beta, epsilon, updates_due
from agents.masks import masked, read_final_mask, read_mask, read_next_mask, refuse_late_mask
from agents.networks import arrays_of, load_arrays
from agents.q_learning import QLearning
from agents.q_metrics import NAN, Round, Told
from agents.replay import Batch, ReplayBuffer
from agents.target_cache import TargetCache
from agents.vitals import MEASUREMENTS, ROWS, modal_share, unit_shares

ITERATION = 256  # env steps at least, so that a row of metrics costs little beside them
TOGETHER = 2048  # rows that are drawn at once, where nothing that is learned between two updates changes the draw
CACHED = 2  # target network: how many slots there may be, for each row that is drawn before it changes
REMEDY = "lower lr, or set agent.normalize_reward=true"


class DQN:
    """Q-learning on replayed experience.

    Args:
        config: the hyper-parameters.
        envs: N copies with SAME_STEP or NEXT_STEP autoreset; already made, reset by `start`.
        generators: numpy generators named `init`, `policy` and `minibatch`.
        total_steps: env steps that the schedules end at.
        device: where the networks live.
        folder: of the memmap, where the config asks for one and names no other.

    Raises:
        ValueError: the environment does not suit, or the memmap has no room.
    """

    def __init__(
        self,
        config: DQNConfig,
        envs: VectorEnv,
        *,
        generators: Mapping[str, np.random.Generator],
        total_steps: int,
        device: str = "cpu",
        folder: Path | None = None,
    ):
        self.observation_space: gym.Space = envs.single_observation_space
        config.check(self.observation_space, envs.single_action_space, None)
        assert isinstance(envs.single_action_space, gym.spaces.Discrete)
        self.action_space = envs.single_action_space
        # Whose episode is over though it is not reset yet; see `collect`.
        self.ended = np.zeros(envs.num_envs, bool) if resets_on_next_step(envs) else None
        self.config, self.envs, self.total_steps, self.generators = config, envs, total_steps, generators
        size, self.actions = int(gym.spaces.flatdim(self.observation_space)), int(self.action_space.n)
        self.learner = QLearning(config, size, self.actions, generators["init"], torch.device(device))
        self.buffer = ReplayBuffer(
            config.buffer_size,
            envs.num_envs,
            (size,),
            gamma=config.gamma,
            n_step=config.n_step,
            priority_alpha=config.priority_alpha if config.prioritized else None,
            storage=config.storage,
            folder=Path(config.storage_folder) if config.storage_folder is not None else folder,
        )
        # Beyond so many slots few are drawn twice before the target changes; and inputs must not change in between.
        worth = min(CACHED * config.batch_size * config.target_every, self.buffer.size)
        self.cache = TargetCache(worth if config.target == "hard" and not config.normalize_obs else 0, self.actions)
        self.obs_moments = normalize.Moments.empty((size,)) if config.normalize_obs else None
        self.reward_scale = normalize.RewardScale.start(envs.num_envs)
        self.largest_reward = -np.inf
        self.log = EpisodeLog.start(envs.num_envs)
        self.env_steps = self.gradient_steps = self.training_epochs = 0
        self.next_measurement = 0
        self.obs = np.zeros((envs.num_envs, size), np.float32)
        self.mask: np.ndarray | None = None  # [N, A] actions that are legal in `obs`; None: all
        self._rounds = max(ITERATION // (config.train_every * envs.num_envs), 1)

    @property
    def steps_per_iteration(self) -> int:
        """Env steps that one `iterate` collects; fewer by the fillers of environments with NEXT_STEP autoreset."""
        return self._rounds * self.config.train_every * self.envs.num_envs

    def start(self, seeds: list[int], *, cut: bool = False) -> None:
        """Reset every copy with a seed of its own; `cut` ends the episodes in flight, for the buffer by truncation."""
        if cut:
            self.log.cut()
            self.buffer.cut(self.obs, self.mask)
        obs, infos = self.envs.reset(seed=seeds)  # type: ignore[arg-type]  # a list is Gymnasium's own
        self.obs = np.asarray(obs, np.float32).reshape(self.envs.num_envs, -1)
        self.mask = read_mask(infos, self.envs.num_envs, self.action_space)
        if self.mask is not None:
            self.buffer.keep_masks(self.actions)
        self.reward_scale = normalize.RewardScale(np.zeros(self.envs.num_envs), self.reward_scale.moments)
        if self.ended is not None:
            self.ended[:] = False

    def iterate(self) -> dict[str, float]:
        """Some rounds of steps and updates, and a row of metrics on them.

        Raises:
            FloatingPointError: a reward, an observation or a loss is not finite.
        """
        lr = self.config.lr
        if self.config.lr_schedule == "linear":
            lr *= max(0.0, 1.0 - self.env_steps / self.total_steps)
        self.learner.optimizer.lr = lr
        told = Told()
        for _ in range(self._rounds):
            taken = self._collect(told)
            self._take_statistics(taken)
            self._learn(told)
        learned = q_metrics.of_updates(told, self.config, self._deviation(), len(self.buffer))
        if told.td and not np.isfinite(learned["value_loss"]):
            loss = learned["value_loss"]
            raise FloatingPointError(f"value_loss is {loss} after {self.env_steps} env steps: {REMEDY}")
        # A finite loss can still have stepped to weights that are not, which no snapshot may hold.
        if not np.isfinite(float(self.learner.flat.parameter.detach().sum())):
            raise FloatingPointError(f"a weight is nan or inf after {self.env_steps} env steps: {REMEDY}")
        actions = np.concatenate([taken.actions[taken.real] for taken in told.rounds])
        count = max(len(actions), 1)
        metrics = {
            "episode_return_mean": float(np.mean(self.log.returns)) if self.log.returns else NAN,
            "episode_length_mean": float(np.mean(self.log.lengths)) if self.log.lengths else NAN,
            **learned,
            "q_bound": q_metrics.largest_return(self.largest_reward, self.config.gamma),
            "epsilon": epsilon(self.config, self.env_steps, self.total_steps),
            "beta": beta(self.config, self.env_steps, self.total_steps) if self.config.prioritized else NAN,
            "replay_fill": len(self.buffer) / self.buffer.size,
            "lr": lr,
            **self._vitals(),
        }
        metrics |= {f"reward/{name}": total / count for name, total in told.reward_terms.items()}
        shares = np.bincount(actions, minlength=self.actions) / count
        return metrics | {f"action/{a}": share for a, share in enumerate(shares.tolist())}

    def _collect(self, told: Told) -> Round:
        """`train_every` steps of every copy, into the buffer.

        Raises:
            FloatingPointError: an observation or a reward is not finite.
            ValueError: an action mask is missing or not valid.
        """
        rng, steps, copies = self.generators["policy"], self.config.train_every, self.envs.num_envs
        # With masks a random action is the legal one with the largest of A uniform numbers.
        uniforms = None if self.mask is None else rng.random((steps, copies, self.actions))
        taken = Round(
            obs=np.empty((steps, *self.obs.shape), np.float32),
            actions=rng.integers(self.actions, size=(steps, copies))
            if uniforms is None
            else np.empty((steps, copies), np.int64),
            rewards=np.zeros((steps, copies)),
            done=np.empty((steps, copies), bool),
            real=np.ones((steps, copies), bool),
        )
        draws, finals = rng.random((steps, copies)), []
        for t in range(steps):
            taken.obs[t] = self.obs  # before the step: an environment may write into the array it gave
            actions, obs, mask, real = taken.actions[t], taken.obs[t], self.mask, None
            if uniforms is not None:
                actions[:] = masked(uniforms[t], mask).argmax(axis=1)
            greedy = draws[t] >= epsilon(self.config, self.env_steps, self.total_steps)
            if greedy.any():
                values = masked(self.learner.values.q_values(self._inputs(obs)), mask)
                actions[greedy] = values.argmax(axis=1)[greedy]
            given = self.envs.step(policy.to_environment(actions, self.action_space))
            next_obs, rewards, terminated, truncated, infos = given
            taken.done[t] = terminated | truncated
            final_obs = final_mask = None
            if self.ended is not None:
                real = taken.real[t]
                np.logical_not(self.ended, out=real)
                rewards = np.where(real, rewards, 0.0)
                self.ended[:] = taken.done[t]
            elif truncated.any():
                final_obs = np.zeros_like(obs)
                for i in np.flatnonzero(truncated):
                    final_obs[i] = np.asarray(infos["final_obs"][i], np.float32).ravel()
                finals.append(final_obs)
                if mask is not None:
                    final_mask = read_final_mask(infos, copies, self.action_space, truncated & ~terminated)
            taken.rewards[t] = rewards
            self.buffer.add(obs, actions, rewards, terminated, truncated, final_obs, real, mask, final_mask)
            if mask is not None:
                over = None if real is None else terminated
                self.mask = read_next_mask(infos, copies, self.action_space, over)
            for name, values in infos.get("reward_terms", {}).items():
                total = float(values.sum() if real is None else values[real].sum())
                told.reward_terms[name] = told.reward_terms.get(name, 0.0) + total
            self.log.step(rewards, taken.done[t], real)
            self.env_steps += copies if real is None else int(real.sum())
            self.obs = np.asarray(next_obs, np.float32).reshape(copies, -1)
        if self.mask is None:
            refuse_late_mask(infos)
        for name, array in (("rewards", taken.rewards), ("obs", taken.obs), ("final_obs", np.array(finals))):
            if not np.isfinite(array).all():
                where = ", ".join(str(int(i)) for i in np.argwhere(~np.isfinite(array))[0])
                raise FloatingPointError(f"the environment returned a number that is not finite: {name}[{where}]")
        told.rounds.append(taken)
        return taken

    def _take_statistics(self, taken: Round) -> None:
        """Of observations, of discounted returns, and the largest reward there has been."""
        self.largest_reward = max(self.largest_reward, float(taken.rewards.max(where=taken.real, initial=-np.inf)))
        if self.obs_moments is not None:
            self.obs_moments = normalize.update(self.obs_moments, taken.obs[taken.real], "observations")
        if self.config.normalize_reward:
            _, self.reward_scale = normalize.scale_rewards(
                taken.rewards, taken.done, self.reward_scale, self.config.gamma, real=taken.real
            )

    def _learn(self, told: Told) -> None:
        """The gradient steps that are due."""
        config, learner, rows = self.config, self.learner, self.config.batch_size
        due = updates_due(config, self.env_steps) - self.gradient_steps
        deviation = np.float32(self._deviation())
        while due > 0 and len(self.buffer) >= rows:
            together = min(due, 1 if config.prioritized else max(TOGETHER // rows, 1), len(self.buffer) // rows)
            if config.target == "hard":
                together = min(together, config.target_every - self.gradient_steps % config.target_every)
            at = beta(config, self.env_steps, self.total_steps)
            batch = self.buffer.sample(together * rows, self.generators["minibatch"], beta=at)
            inputs, next_inputs = self._inputs(batch.obs), self._inputs(batch.next_obs)
            returns = batch.returns / deviation
            # One pass of the target network serves all updates until it changes.
            next_q = self._target_q(batch, next_inputs) if config.target == "hard" else None
            for first in range(0, together * rows, rows):
                part = slice(first, first + rows)
                after = learner.target_values.q_values(next_inputs[part]) if next_q is None else next_q[part]
                next_masks = None if batch.next_masks is None else batch.next_masks[part]
                targets = learner.targets(returns[part], batch.discounts[part], next_inputs[part], after, next_masks)
                weights = batch.weights[part] if config.prioritized else None
                td, q, norm = learner.step(inputs[part], batch.actions[part], targets, weights)
                told.td.append(td)
                told.targets.append(targets)
                told.q.append(masked(q, None if batch.masks is None else batch.masks[part]))
                told.norms.append(norm)
                self.gradient_steps += 1
                if config.target == "soft":
                    learner.sync(config.tau)
                elif self.gradient_steps % config.target_every == 0:
                    learner.sync(1.0)
                    self.cache.forget()
            told.weights.append(batch.weights)
            told.ages.append(batch.age)
            told.drawn.append(batch.index)
            due -= together
            if config.prioritized:
                if not np.isfinite(td).all():
                    raise FloatingPointError(f"a TD error is not finite after {self.env_steps} env steps: {REMEDY}")
                self.buffer.update_priorities(batch.index, td)

    def _target_q(self, batch: Batch, next_inputs: np.ndarray) -> np.ndarray:
        """Q `[B, A]` of the target network on what follows each transition."""
        compute = self.learner.target_values.q_values
        if self.buffer.filled > self.cache.slots:
            return compute(next_inputs)
        return self.cache.q_values(batch.next_index, batch.next_written, next_inputs, compute)

    def _vitals(self) -> dict[str, float]:
        """Signs of health on the latest transitions that can be drawn, about 20 times a run; see `vitals.py`."""
        names = ("greedy_share", "dormant_share", "saturated_share")
        if self.env_steps < self.next_measurement or not len(self.buffer):
            return dict.fromkeys(names, NAN)
        self.next_measurement = self.env_steps + max(self.total_steps // MEASUREMENTS, 1)
        # A stream of its own: nothing that is measured may change what is learned.
        probe = self.buffer.sample(min(ROWS, len(self.buffer)), np.random.default_rng(self.env_steps))
        inputs, network = self._inputs(probe.obs), self.learner.online
        with torch.inference_mode():
            x = torch.from_numpy(inputs).to(self.learner.device)
            x = x if network.attention is None else network.attention(x)
        values = masked(self.learner.values.q_values(inputs), probe.masks)
        shares = modal_share(values), *unit_shares([(network.body, x)])
        return dict(zip(names, shares, strict=True))

    def _inputs(self, obs: np.ndarray) -> np.ndarray:
        if self.obs_moments is None:
            return obs
        return normalize.normalize(obs, self.obs_moments, self.config.clip_obs)

    def _deviation(self) -> float:
        """What rewards are divided by: the deviation of the discounted return, or 1."""
        if not self.config.normalize_reward:
            return 1.0
        return float(np.sqrt(self.reward_scale.moments.variance + 1e-8))

    def policy_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Weights and observation statistics, and the metadata that `agents.q_policy.load` needs."""
        return q_policy.pack(self.learner.online, self.obs_moments), q_policy.metadata(
            self.observation_space,
            self.action_space,
            self.config,
            self._deviation(),
            epsilon(self.config, self.env_steps, self.total_steps),
            action_masks=self.mask is not None,
        )

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Everything but the environments: arrays, those of the buffer as views, and JSON; see `load_state`."""
        arrays, _ = self.policy_checkpoint()
        replayed, replay = self.buffer.state()
        log, log_meta = self.log.state()
        scale = self.reward_scale.moments
        for prefix, own in (
            ("target", arrays_of(self.learner.target)),
            ("optimizer", self.learner.optimizer.state()),
            ("target_cache", self.cache.state(self.buffer.filled)),
            ("replay", replayed),
            ("log", log),
        ):
            arrays |= {f"{prefix}.{name}": array for name, array in own.items()}
        arrays["collect.obs"] = self.obs
        if self.ended is not None:
            arrays["collect.ended"] = self.ended
        if self.mask is not None:
            arrays["collect.mask"] = self.mask
        arrays["reward_scale.returns"] = self.reward_scale.returns
        arrays["reward_scale.moments"] = np.array([scale.count, scale.mean, scale.m2, self.largest_reward])
        return arrays, {
            "generators": {name: generator.bit_generator.state for name, generator in self.generators.items()},
            "env_steps": self.env_steps,
            "gradient_steps": self.gradient_steps,
            "next_measurement": self.next_measurement,
            "replay": replay,
            **log_meta,
        }

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave; random states last."""

        def below(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}

        load_arrays(self.learner.online, below("network."))
        load_arrays(self.learner.target, below("target."))
        self.obs_moments = policy.unpack_moments("obs", arrays)
        self.learner.optimizer.load_state(below("optimizer."))
        self.cache.load_state(below("target_cache."))
        self.buffer.load_state(below("replay."), meta["replay"])
        self.log = EpisodeLog.restore(below("log."), meta)
        self.obs = np.array(arrays["collect.obs"])
        if self.ended is not None:
            self.ended[:] = arrays["collect.ended"]
        self.mask = np.array(arrays["collect.mask"]) if "collect.mask" in arrays else None
        count, mean, m2, self.largest_reward = (float(v) for v in arrays["reward_scale.moments"])
        self.reward_scale = normalize.RewardScale(
            np.array(arrays["reward_scale.returns"]), normalize.Moments(count, np.asarray(mean), np.asarray(m2))
        )
        self.env_steps, self.gradient_steps = meta["env_steps"], meta["gradient_steps"]
        self.next_measurement = meta["next_measurement"]
        for name, generator in self.generators.items():
            generator.bit_generator.state = meta["generators"][name]
