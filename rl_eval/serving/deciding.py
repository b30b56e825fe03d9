"""Requests for decisions, answered together, and their decisions as they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.errors import InputError
from rl_eval.serving.requests import SelectRequest
from rl_eval.serving.rows import Decision
from rl_eval.serving.served_policy import Decisions, ServedPolicy


def decide_together(
    requests: Sequence[SelectRequest], served: ServedPolicy, rng: np.random.Generator
) -> list[Decisions | InputError]:
    """The decisions of each request, or why there are none. Those that may be are decided in one pass of the network.

    So one request never gets the error of another.
    """
    groups: dict[tuple[bool, int], list[int]] = {}
    for index, request in enumerate(requests):
        # A policy of other code takes greedy and drawn decisions in calls of their own.
        kind = request.greedy and not served.mixes
        groups.setdefault((kind, index + 1 if request.exact else 0), []).append(index)
    decided: dict[int, Decisions | InputError] = {}
    for group in groups.values():
        decided |= zip(group, _answers([requests[index] for index in group], served, rng), strict=True)
    return [decided[index] for index in range(len(requests))]


def _answers(
    requests: Sequence[SelectRequest], served: ServedPolicy, rng: np.random.Generator
) -> Sequence[Decisions | InputError]:
    try:
        own = rng if requests[0].seed is None else np.random.default_rng(requests[0].seed)
        return _decide(requests, served, own)
    except InputError as error:
        if len(requests) == 1:
            return [error]
    return [answer for request in requests for answer in _answers([request], served, rng)]


def _decide(requests: Sequence[SelectRequest], served: ServedPolicy, rng: np.random.Generator) -> list[Decisions]:
    observations = [request.observation for request in requests]
    counts = [len(observation.rows) for observation in observations]
    rows = observations[0].rows if len(requests) == 1 else np.concatenate([o.rows for o in observations])
    mask = None
    if served.actions is not None and any(observation.mask is not None for observation in observations):
        masks = [np.ones((len(o.rows), served.actions), bool) if o.mask is None else o.mask for o in observations]
        mask = np.concatenate(masks)
    greedy = np.repeat([request.greedy for request in requests], counts)
    decided = served.decide(rows, greedy, mask, rng, exact=requests[0].exact)
    if len(requests) == 1:
        return [decided]
    stops = np.cumsum(counts).tolist()
    return [decided.part(slice(stop - count, stop)) for stop, count in zip(stops, counts, strict=True)]


def rows_of(request: SelectRequest, decided: Decisions, served: ServedPolicy) -> list[Decision]:
    """The decisions of a request as they are stored."""
    count = len(request.observation.rows)
    drawn = decided.drawn.reshape(count, -1)
    drawn = drawn.astype(np.int64 if drawn.dtype.kind in "iu" else np.float32)
    mask = request.observation.mask
    columns = (decided.log_probs, decided.values, decided.confidence)
    numbers = [[None] * count if column is None else column.astype(float).tolist() for column in columns]
    return [
        Decision(
            served.version,
            None if request.units is None else request.units[i],
            request.observation.rows[i].tobytes(),
            None if mask is None else mask[i].tobytes(),
            drawn[i].tobytes(),
            numbers[0][i],
            numbers[1][i],
            numbers[2][i],
            request.greedy,
        )
        for i in range(count)
    ]
