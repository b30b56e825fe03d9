"""Accepted experience as what is learned from, and what is held out for proofs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from rl_eval.production.proof import LoggedTraffic
from rl_eval.production.store import Experience
from rl_eval.production.transitions import logged_traffic


def split(experiences: Sequence[Experience], held_out: float) -> tuple[list[Experience], list[Experience]]:
    """The decisions to learn from, and those held out: by a hash of the unit, so that a unit is never in both."""
    learned: list[Experience] = []
    kept: list[Experience] = []
    for item in experiences:
        key = item.decision.unit or item.decision.decision_id
        number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, person=b"held out").digest(), "big")
        (kept if number < held_out * 2**64 else learned).append(item)
    return learned, kept


def observations(experiences: Sequence[Experience]) -> np.ndarray:
    """`[N, D]` float32."""
    if not experiences:
        return np.zeros((0, 0), np.float32)
    stored = b"".join(item.decision.observation for item in experiences)
    return np.frombuffer(stored, np.float32).reshape(len(experiences), -1)


def traffic(experiences: Sequence[Experience], actions: int | None) -> LoggedTraffic | None:
    """Logged decisions with discrete actions whose propensity is known; None where there are fewer than two.

    Args:
        actions: how many there are; None: they are not discrete.
    """
    logged = None if actions is None or len(experiences) < 2 else logged_traffic(experiences)
    return logged if logged is not None and len(logged.rewards) >= 2 else None


def fingerprint(experiences: Sequence[Experience]) -> str:
    """SHA-256 of which decisions they are and what followed; it names nobody."""
    digest = hashlib.sha256()
    for item in experiences:
        digest.update(f"{item.decision.decision_id}\0{item.reward.reward!r}\n".encode())
    return digest.hexdigest()
