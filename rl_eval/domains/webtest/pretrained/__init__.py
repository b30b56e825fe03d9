"""`baseline:pretrained`: a policy trained on generated applications, which comes with the package.

`policy.safetensors` and `policy.json` are the snapshot of

    python train.py agent=dqn env=webtest env.candidates=48 agent.network.candidates=48 env.max_actions=300 seed=1

Its network is computed with numpy, so torch is not needed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl_eval.domains.webtest.observation import P, candidate_rows, legal_of, without_turns
from rl_eval.run import read_checkpoint

CANDIDATES = 48  # as it was trained; with other numbers it acts, but one of its columns is a share of them


class Pretrained:
    """Scores the candidates of observations by the network of the snapshot, and takes the best."""

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """`[N]` candidates."""
        obs = without_turns(obs)
        return np.where(legal_of(obs, mask), candidate_values(obs), -np.inf).argmax(axis=1)


def candidate_values(obs: np.ndarray) -> np.ndarray:
    """The value of each candidate, float32 `[N, K]`, of observations `[N, P + K · C]`.

    The computation of `agents.q_network.CandidateAttention`, a ReLU layer and a linear one.
    """
    rows = candidate_rows(obs)
    tokens = _relu(_linear("attention.of_candidate", rows))  # [N, K, W]
    context = tokens.mean(axis=1) + _relu(_linear("attention.of_context", obs[:, :P]))
    heads = _snapshot().heads
    query = _split(_linear("attention.query", _norm(context))[:, None], heads)  # [N, H, 1, W / H]
    key, value = (_split(_linear(f"attention.{name}", _norm(tokens)), heads) for name in ("key", "value"))
    scores = query @ key.swapaxes(2, 3) / np.float32(np.sqrt(query.shape[-1]))  # [N, H, 1, K]
    scores = np.where((rows == 0).all(axis=2)[:, None, None, :], -np.inf, scores)  # candidates that are absent
    weights = np.exp(scores - scores.max(axis=3, keepdims=True))
    attended = (weights / weights.sum(axis=3, keepdims=True)) @ value
    context = context + _linear("attention.out", attended.reshape(len(obs), -1))
    both = np.concatenate([tokens, np.broadcast_to(context[:, None], tokens.shape)], axis=2)
    return _linear("head", _relu(_linear("body.0", both)))[..., 0]


class _Snapshot(NamedTuple):
    weights: dict[str, np.ndarray]
    heads: int


@cache
def _snapshot() -> _Snapshot:
    arrays, meta = read_checkpoint(Path(__file__).parent, "policy")
    return _Snapshot({name.removeprefix("network."): array for name, array in arrays.items()}, meta["network"]["heads"])


def _linear(name: str, x: np.ndarray) -> np.ndarray:
    weights = _snapshot().weights
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _norm(x: np.ndarray) -> np.ndarray:
    """Layer normalisation over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    weights = _snapshot().weights
    return scaled * weights["attention.norm.weight"] + weights["attention.norm.bias"]


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _split(x: np.ndarray, heads: int) -> np.ndarray:
    """`[N, K, W]` to `[N, H, K, W / H]`."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)
