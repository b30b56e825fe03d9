"""Several DQN agents that act in turn in one environment.

A round is one step of each agent. An agent's transition leads from one of its turns to the next one. So the steps of an
agent in a copy of the environment are a copy of their own in the replay buffer. The reward of an agent is the team's
reward of the round, or its difference to the team's reward if this agent had done nothing (Wolpert and Tumer,
*Optimal payoff functions for members of collectives*, 2001, eq. 4). The environment says what that would have been.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from agents import policy
from agents.action_masks import masked
from agents.collect import add_reward_terms, check_finite, step_copies
from agents.config import DQNConfig
from agents.dqn import DQN, ITERATION_STEPS
from agents.off_policy import CollectedSteps
from agents.schedules import epsilon


class TeamDQN(DQN):
    """`DQN` with `agents.count` agents; see `team_network.py` for what they share."""

    def __init__(self, config: DQNConfig, envs: VectorEnv, **keywords: Any):
        if config.normalize_reward or config.normalize_obs:
            raise ValueError(
                f"agents.count={config.agents.count} does not go with agent.normalize_obs or agent.normalize_reward: "
                "set both to false"
            )
        super().__init__(config, envs, **keywords)
        self._count = config.agents.count
        self._rounds = max(ITERATION_STEPS // (config.train_every * envs.num_envs * self._count), 1)
        if self.resetting is not None:
            raise ValueError("agents.count needs an environment that resets in the step that ends an episode")

    @property
    def steps_per_iteration(self) -> int:
        """Env steps that one `iterate` collects."""
        return self._count * super().steps_per_iteration

    def start(self, seeds: list[int], *, cut: bool = False) -> None:
        """Reset every copy with a seed of its own.

        Raises:
            ValueError: the environment does not say whose turn it is, or would have to give up episodes.
        """
        if cut:
            raise ValueError("agents.count needs an environment that gives its state, so that a run can be resumed")
        super().start(seeds)
        self._require_turn(0)

    def _require_turn(self, turn: int) -> None:
        expected = np.eye(self._count, dtype=np.float32)[turn]
        if not (self.obs[:, : self._count] == expected).all():
            raise ValueError(
                f"agents.count={self._count}: the first {self._count} numbers of an observation must say whose turn "
                "it is, all copies the same: let as many agents act in turn (env.testers), and end episodes after "
                "complete rounds"
            )

    def _collect(self, reward_terms: dict[str, float]) -> CollectedSteps:
        """`train_every` rounds of every copy, into the buffer; adds to the sums of the reward terms.

        Raises:
            FloatingPointError: an observation or a reward is not finite.
            ValueError: an action mask is missing or not valid, or a turn is another agent's.
        """
        rng, rounds, copies, count = self.generators["policy"], self.config.train_every, self.envs.num_envs, self._count
        shape = (rounds, count, copies)
        uniforms, explores = rng.random((*shape, self.actions)), rng.random(shape)
        obs = np.empty((*shape, self.obs.shape[1]), np.float32)
        actions, rewards, done = np.empty(shape, np.int64), np.zeros(shape), np.zeros(shape, bool)
        for t in range(rounds):
            masks = None if self.mask is None else np.empty((count, copies, self.actions), bool)
            without = None
            for turn in range(count):
                self._require_turn(turn)
                obs[t, turn], mask = self.obs, self.mask
                if masks is not None:
                    masks[turn] = mask
                chosen = masked(uniforms[t, turn], mask).argmax(axis=1)
                greedy = explores[t, turn] >= epsilon(self.config, self.env_steps, self.total_steps)
                if greedy.any():
                    q_values = masked(self.learner.values.q_values(self.inputs(obs[t, turn])), mask)
                    chosen[greedy] = q_values.argmax(axis=1)[greedy]
                actions[t, turn] = chosen
                step = step_copies(self.envs, policy.to_environment(chosen, self.action_space), self.log, None, mask)
                rewards[t, turn], done[t] = self._learned_rewards(step), step.done
                add_reward_terms(reward_terms, step)
                self.env_steps += copies
                self.obs, self.mask, without = step.obs, step.mask, step.infos.get("rewards_without")
            rewards[t] = self._credited(rewards[t], without)
            # An observation says how much of its episode is left, so the end of the budget is an end like any other.
            ends = done[t].reshape(-1)
            self.buffer.add(
                obs[t].reshape(count * copies, -1),
                actions[t].reshape(-1),
                rewards[t].reshape(-1),
                ends,
                np.zeros_like(ends),
                mask=None if masks is None else masks.reshape(count * copies, -1),
            )
        check_finite({"rewards": rewards, "obs": obs})
        flat = (rounds, count * copies)
        return CollectedSteps(
            obs=obs.reshape(*flat, -1),
            actions=actions.reshape(flat),
            rewards=rewards.reshape(flat),
            done=done.reshape(flat),
            valid=np.ones(flat, bool),
        )

    def _credited(self, rewards: np.ndarray, without: np.ndarray | None) -> np.ndarray:
        """What each agent is rewarded with after a round, `[count, N]`.

        Args:
            rewards: `[count, N]` of the steps.
            without: `[count, N]` the team's reward of the round if an agent had done nothing.
        """
        team = rewards.sum(axis=0)
        if self.config.agents.credit == "none":
            return np.broadcast_to(team, rewards.shape)
        if without is None:
            raise ValueError(
                "agents.credit=difference needs `rewards_without` in the infos of the last step of a round: the "
                "environment gives none, so use agents.credit=none"
            )
        return team - without

    def learn_from(self, columns: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Agents of a team learn only in training.

        Raises:
            ValueError: always.
        """
        raise ValueError("the policy of several agents does not learn on a server: serve it without --learn")


def build(config: DQNConfig, envs: VectorEnv, **keywords: Any) -> DQN:
    """One DQN agent or several; see `DQN`."""
    return (DQN if config.agents.count == 1 else TeamDQN)(config, envs, **keywords)
