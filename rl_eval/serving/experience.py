"""What followed a decision, checked against the decision and kept once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_eval.serving.bodies import RefusedError, StoreExperienceBody
from rl_eval.serving.requests import Observation, legal_actions, network_action, shaped
from rl_eval.serving.rows import Decision, Experience
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.store import Store


@dataclass(frozen=True)
class ReceivedExperience:
    """What followed a decision, as it was sent.

    Attributes:
        following: the next observation; None: it was not sent.
    """

    body: StoreExperienceBody
    following: Observation | None


def keep_experience(received: ReceivedExperience, store: Store, served: ServedPolicy) -> tuple[str, bool]:
    """Keep what was sent, inside a transaction of the store; what is refused is refused before it writes.

    Returns:
        The id of the decision, and whether the experience is new.

    Raises:
        RefusedError: an unknown decision, other values than before, or something that does not fit.
    """
    body = received.body
    if body.truncated and not body.done:
        raise RefusedError(422, "truncated needs done: an episode that was cut off has ended")
    seq = None if body.decision_id is None else store.find(body.decision_id)
    whole = body.observation is not None or body.action is not None
    unit = store.decision(seq).unit if seq is not None else body.unit
    experience = _experience(received, unit)
    if seq is None:
        if not whole:
            asked = "decision_id is missing" if body.decision_id is None else f"{body.decision_id} is not a decision"
            raise RefusedError(404, f"{asked} of this server: give one of /select_action, or a whole transition")
        (seq_id,) = store.add_decisions([_decision(body, served)])
        decision_id, seq = body.decision_id or seq_id, int(seq_id.partition("-")[0])
        if body.decision_id is not None:
            store.name_decision(body.decision_id, seq)
        _keep(store, seq, unit, experience)
        return decision_id, True
    assert body.decision_id is not None
    if changed := _changed(body, store.decision(seq), served, whole=whole, own=store.is_own(body.decision_id)):
        raise RefusedError(409, f"{body.decision_id} is stored with another {', '.join(changed)}: it cannot change")
    return body.decision_id, _keep(store, seq, unit, experience)


def _keep(store: Store, seq: int, unit: str | None, experience: Experience) -> bool:
    """Whether it is new."""
    new = store.add_experience(seq, experience)
    if new and unit is not None:
        store.add_return(seq, unit, experience.reward, experience.terminated or experience.truncated)
    return new


def _changed(body: StoreExperienceBody, stored: Decision, served: ServedPolicy, *, whole: bool, own: bool) -> list[str]:
    """The keys of a body that say something else about a decision than what is stored.

    A key that is not there says nothing; but a transition with an id of the client's own is the same as a whole only.
    """
    mask = None if body.mask is None else _mask(body.mask, served)
    given = {"unit": body.unit, "policy_version": body.policy_version, "mask": mask}
    kept = {"unit": stored.unit, "policy_version": stored.version, "mask": stored.mask}
    if whole:
        sent = _decision(body, served)
        given |= {"observation": sent.observation, "action": sent.action}
        kept |= {"observation": stored.observation, "action": stored.action}
    exact = whole and own
    return [key for key, value in given.items() if (exact or value is not None) and value != kept[key]]


def _experience(received: ReceivedExperience, unit: str | None) -> Experience:
    body, following = received.body, received.following
    if following is not None and not following.single:
        raise RefusedError(422, "next_observation is a batch: send one transition per request")
    if body.next_mask is not None and following is None:
        raise RefusedError(422, "next_mask needs next_observation: give both")
    if following is None and (body.truncated or (unit is None and not body.done)):
        raise RefusedError(422, "next_observation is missing: an episode that continues needs it, or a unit")
    terminated = body.done and not body.truncated
    return Experience(
        reward=body.reward,
        terminated=terminated,
        truncated=body.truncated,
        next_observation=None if following is None or terminated else following.rows[0].tobytes(),
        next_mask=None if following is None or following.mask is None or terminated else following.mask[0].tobytes(),
    )


def _decision(body: StoreExperienceBody, served: ServedPolicy) -> Decision:
    """Of a whole transition."""
    if body.observation is None or body.action is None:
        raise RefusedError(422, "a whole transition needs observation and action: one of them is missing")
    return Decision(
        version=body.policy_version,
        unit=body.unit,
        observation=_one(body.observation, served, "observation").tobytes(),
        mask=None if body.mask is None else _mask(body.mask, served),
        action=network_action(body.action, served),
        log_prob=None,
        value=None,
        confidence=None,
        greedy=False,
    )


def _mask(flags: np.ndarray, served: ServedPolicy) -> bytes:
    return legal_actions(flags, served, 1, True, "mask")[0].tobytes()


def _one(numbers: np.ndarray, served: ServedPolicy, name: str) -> np.ndarray:
    rows, single = shaped(numbers, served.spaces.observation.shape or (), name)
    if not single:
        raise RefusedError(422, f"{name} is a batch: send one transition per request")
    return rows[0]
