"""`ProductionServer`: what is served, privacy and recording, without HTTP. Methods run in the event loop's thread."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_eval.production.clock import SteadyClock
from rl_eval.production.config import ProductionConfig
from rl_eval.production.privacy import Privacy, is_decision_id, new_decision_ids
from rl_eval.production.queues import Queue, QueueError
from rl_eval.production.records import LoggedReward, MessageError
from rl_eval.production.server.arms import Arms
from rl_eval.production.server.deciding import Answered, decide
from rl_eval.production.server.recorder import Recorder
from rl_eval.production.serving_cost import Served
from rl_eval.serving.batching import Batch
from rl_eval.serving.bodies import RefusedError
from rl_eval.serving.experience import ReceivedExperience
from rl_eval.serving.observing import Observing
from rl_eval.serving.requests import Observation, SelectRequest
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.source import Source
from rl_eval.serving.statistics import Statistics

log = logging.getLogger(__name__)
NO_CHAMPION = "there is no champion yet: register a version, and give it the alias champion"
SCHEMA = "schema"
REFUSALS = ("not_recorded", "unknown_decision", "range", SCHEMA)  # of rewards that are refused at once and counted


class RefusedRewardError(RefusedError):
    """A reward that is refused at once.

    Args:
        reason: one of `REFUSALS`.
    """

    def __init__(self, status: int, sentence: str, reason: str = SCHEMA):
        super().__init__(status, sentence)
        self.reason = reason


@dataclass
class ArmCounts:
    """What a version did since the server started."""

    decisions: int = 0
    errors: int = 0
    slow: int = 0  # decisions that took longer than `rollout.guards.slow`
    seconds: float = 0.0  # that deciding took


class ProductionServer:
    """A server of one policy; several may share queue, store and registry.

    Args:
        key: of pseudonyms and decision ids, the same on all servers.
        seed: of the draws; None: another one each time.
    """

    def __init__(
        self,
        config: ProductionConfig,
        queue: Queue,
        key: bytes,
        *,
        clock: SteadyClock | None = None,
        seed: int | None = None,
    ):
        self.config, self.queue = config, queue
        self.statistics = Statistics()
        self.recorder = Recorder(queue)
        self.arm_counts: dict[str, ArmCounts] = {}
        self.collected: dict[str, int] = {}  # counts of the store, as they were last read
        self.waiting: int | None = None  # messages in the queue, as they were last counted
        self.oldest: float | None = None  # when the oldest of them was put in
        self.followed: float | None = None  # when the registry was last read
        self.unserved = NO_CHAMPION  # why nothing is served, as long as nothing is
        self.refused = ""  # why it may not serve, for any champion
        self.refusals: Counter[str] = Counter()
        self._key = key
        self.clock = clock or SteadyClock()
        self._rng = np.random.default_rng(seed)
        self._began = time.monotonic()
        self.current: Arms | None = None
        self._privacy: Privacy | None = None
        self._observing = Observing(None)
        self._decisions: Batch[SelectRequest, Answered] = Batch(self._decide)
        self._rewards: Batch[LoggedReward, str] = Batch(self._keep)

    @property
    def arms(self) -> Arms:
        """What is served.

        Raises:
            RefusedError: 503, nothing yet, or a store of another privacy key.
        """
        if self.refused:
            raise RefusedError(503, self.refused)
        if self.current is None:
            raise RefusedError(503, self.unserved)
        return self.current

    @property
    def served(self) -> Served:
        """How long this server has held its machine, and how many decisions it made."""
        decisions = sum(one.decisions for one in list(self.arm_counts.values()))
        return Served(time.monotonic() - self._began, decisions)

    def serve(self, arms: Arms) -> None:
        """Serve other versions from now on, each decision by one version as a whole.

        Raises:
            InputError: a rule of privacy is for a feature that does not exist.
        """
        before = self.current
        if before is None or before.champion is not arms.champion:
            size = math.prod(arms.champion.served.spaces.observation.shape or ())
            self._privacy = Privacy(self.config.privacy, self._key, self.config.quality.features, size)
            self._observing = Observing(arms.champion.source.text_observer())
        self.current = arms

    @property
    def policy(self) -> ServedPolicy:
        """The champion's."""
        return self.arms.champion.served

    @property
    def source(self) -> Source:
        """The champion's."""
        return self.arms.champion.source

    @property
    def observing(self) -> Observing:
        """How requests are read."""
        return self._observing

    async def select(self, request: SelectRequest) -> Answered:
        """Decisions for rows as they were sent; ids are None where they could not be recorded.

        Raises:
            InputError: a policy of other code fails.
        """
        answered = await self._decisions.submit(self.private(request))
        if answered.records and not self.recorder.is_quick:
            try:
                await self.recorder.put_soon(answered.records)
            except (QueueError, MessageError):
                answered.ids = None
        return answered

    def private(self, request: SelectRequest) -> SelectRequest:
        """A request as it may be seen and kept: features changed, units as pseudonyms."""
        assert self._privacy is not None or self.arms
        privacy = self._privacy
        assert privacy is not None
        observation = request.observation
        rows = privacy.observations(observation.rows)
        units = None
        if request.units is not None:
            named = [privacy.pseudonym(unit) for unit in request.units]
            units = [unit for unit in named if unit is not None] or None
        return SelectRequest(
            Observation(rows, observation.mask, observation.single), request.greedy, units, request.record, request.seed
        )

    def _decide(self, requests: Sequence[SelectRequest]) -> list[Answered | Exception]:
        arms = self.arms
        answers = decide(requests, arms, self._rng, self.clock.now(), self._new_ids, self._count)
        if self.recorder.is_quick:
            records = [record for answer in answers if isinstance(answer, Answered) for record in answer.records]
            if records:
                try:
                    self.recorder.put(records)
                except (QueueError, MessageError):
                    for answer in answers:
                        if isinstance(answer, Answered):
                            answer.ids = None
        for answer in answers:
            if isinstance(answer, Answered) and arms.champion.served.actions is not None:
                self.statistics.actions.update(map(str, answer.decided.actions.tolist()))
        return answers

    def _new_ids(self, count: int) -> list[str]:
        return new_decision_ids(count, self._key)

    def _count(self, version: str, decisions: int, errors: int, seconds: float) -> None:
        counts = self.arm_counts.setdefault(version, ArmCounts())
        counts.decisions += decisions
        counts.errors += errors
        counts.seconds += seconds
        counts.slow += decisions if seconds > self.config.rollout.guards.slow else 0

    async def keep_experience(self, received: ReceivedExperience) -> str:
        """The id of a decision whose reward outlives this process from here on.

        Raises:
            RefusedRewardError: 404, nobody made the decision; 422, something does not fit.
            RefusedError: 503, it could not be kept.
        """
        reward = self._reward(received)
        if self.recorder.is_quick:
            return await self._rewards.submit(reward)
        try:
            await self.recorder.put_soon([reward])
        except (QueueError, MessageError) as error:
            raise _not_kept(error) from error
        self.statistics.add_rewards([reward.reward])
        return reward.decision_id

    def _keep(self, rewards: Sequence[LoggedReward]) -> list[str | Exception]:
        try:
            self.recorder.put(rewards)
        except (QueueError, MessageError) as error:
            return [_not_kept(error)] * len(rewards)
        self.statistics.add_rewards([reward.reward for reward in rewards])
        return [reward.decision_id for reward in rewards]

    def _reward(self, received: ReceivedExperience) -> LoggedReward:
        body, following = received.body, received.following
        if body.decision_id is None:
            sentence = "decision_id is null: the decision was not recorded, so nothing can be rewarded"
            raise RefusedRewardError(422, sentence, "not_recorded")
        if not is_decision_id(body.decision_id, self._key):
            sentence = "decision_id is of no decision of these servers: give one of /select_action"
            raise RefusedRewardError(404, sentence, "unknown_decision")
        if body.observation is not None or body.action is not None or body.mask is not None:
            raise RefusedRewardError(422, "observation, action and mask are known from the decision: leave them out")
        low, high = self.config.quality.reward
        if not low <= body.reward <= high:
            sentence = f"reward {body.reward:g} is outside quality.reward, {low:g} to {high:g}: check it"
            raise RefusedRewardError(422, sentence, "range")
        if body.truncated and not body.done:
            raise RefusedRewardError(422, "truncated needs done: an episode that was cut off has ended")
        if following is not None and not following.single:
            raise RefusedRewardError(422, "next_observation is a batch: store one reward per request")
        if body.next_mask is not None and following is None:
            raise RefusedRewardError(422, "next_mask needs next_observation: give both")
        if body.truncated and following is None:
            raise RefusedRewardError(422, "next_observation is missing: an episode that was cut off needs it")
        terminated = body.done and not body.truncated
        next_observation = next_mask = None
        if following is not None and not terminated:
            assert self._privacy is not None
            next_observation = self._privacy.observations(following.rows)[0].tobytes()
            next_mask = None if following.mask is None else following.mask[0].tobytes()
        return LoggedReward(
            body.decision_id, body.reward, self.clock.now(), terminated, body.truncated, next_observation, next_mask
        )

    def close(self) -> None:
        """Everything that was acknowledged is in the queue."""
        self.recorder.close()


def _not_kept(error: Exception) -> RefusedError:
    return RefusedError(503, f"{error}; send it again")
