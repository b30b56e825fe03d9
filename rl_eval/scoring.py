"""Score rows of new data with the judged policy of a run: actions, probabilities, costs, and what mattered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rl_eval import domains, policy
from rl_eval.domains.rows import ExpectedCost, RowReader
from rl_eval.errors import InputError
from rl_eval.plugins import require_plugins_of_run
from rl_eval.run import environment_of, read_preprocessing, read_run

REASONS = 3


@dataclass(frozen=True)
class ScoredChunk:
    """R rows of new data and the greedy decisions on them.

    Attributes:
        position: `[R]` the line or row of the source that each begins at, from 1.
        actions: `[R]` integers.
        probability: `[R]` of the action; None if the policy has no probabilities.
        expected_cost: `[R]` of the action; None if it is not known.
        reasons: for each row the columns that matter most, with the change of the action's probability that their
            values make; empty unless asked for.
        kept: column -> `[R]` its texts.
        unknown: column -> how many values training did not have, so that the policy cannot tell them apart.
    """

    position: Sequence[int] = field(repr=False)
    actions: np.ndarray = field(repr=False)
    probability: np.ndarray | None = field(repr=False)
    expected_cost: np.ndarray | None = field(repr=False)
    reasons: Sequence[Sequence[tuple[str, float]]] = field(repr=False)
    kept: Mapping[str, Sequence[str]] = field(repr=False)
    unknown: Mapping[str, int] = field(repr=False)


@dataclass(frozen=True)
class Scorer:
    """The judged policy of a run, with a reader of new data.

    Attributes:
        action_names: empty if they have none.
        cost_unknown: why there are no expected costs; None if there are.
        cost_note: what to know of them, if anything.
    """

    action_names: Sequence[str]
    cost_unknown: str | None
    cost_note: str | None
    _reader: RowReader = field(repr=False)
    _policy: policy.Policy = field(repr=False)
    _expected_cost: ExpectedCost | None = field(repr=False)
    _typical: np.ndarray | None = field(repr=False)

    def score(self, source: Path | BinaryIO, *, keep: Sequence[str] = ()) -> Iterator[ScoredChunk]:
        """The rows of a file or of a stream of CSV, a bounded number at a time.

        Args:
            keep: columns of the data to hand on.

        Raises:
            InputError: a column is missing, or a row cannot be read.
        """
        for chunk in self._reader.chunks(source, keep):
            actions = np.asarray(self._policy.act(chunk.observations, True))
            probabilities, probability, cost = _probabilities(self._policy, chunk.observations), None, None
            if probabilities is not None:
                probability = probabilities[np.arange(len(actions)), actions]
            if self._expected_cost is not None:
                cost = self._expected_cost(actions, probabilities)
            reasons: Sequence[Sequence[tuple[str, float]]] = ()
            if self._typical is not None and probability is not None:
                columns = self._reader.columns
                reasons = occlusion(self._policy, chunk.observations, actions, probability, columns, self._typical)
            yield ScoredChunk(chunk.position, actions, probability, cost, reasons, chunk.kept, chunk.unknown)


def scorer(directory: Path, *, why: bool = False, trust: bool = False) -> Scorer:
    """The scorer of a run.

    Args:
        why: whether to name the columns that matter most, which reads the training data.
        trust: whether plugins of the run may be imported.

    Raises:
        InputError: no run, a damaged one, one without rows of data, or `why` without training data or probabilities.
    """
    if policy.names_policy(str(directory)) or directory.suffix == ".onnx":
        raise InputError(
            f"{directory} is a policy without its run, which does not say how data is read and what actions cost: "
            "name the run directory"
        )
    run = read_run(directory)
    require_plugins_of_run(directory, run.config, trust=trust)
    config = environment_of(run)
    domain = domains.domain(config.name)
    fitted = read_preprocessing(run) or {}
    try:
        reader = domain.rows(config, fitted)
    except InputError as error:
        raise InputError(f"{directory}: {error}") from error
    if reader is None:
        raise InputError(
            f"{directory} is a run of env={config.name}, which does not decide on rows of data: name a run of a "
            "domain that reads tables"
        )
    spaces = policy.Spaces(config.name, reader.observation_space, reader.action_space)
    # An absolute path never starts with a kind of policy, such as `python:`.
    judged = policy.load(str(directory.resolve()), spaces, config, trust=trust)
    if why and not hasattr(judged, "probabilities"):
        raise InputError(f"{directory}: --why needs a policy with probabilities, such as that of PPO: remove it")
    typical = reader.typical_observation() if why else None
    try:
        expected_cost, unknown, note = reader.expected_cost(judged), None, reader.cost_note()
    except InputError as error:
        expected_cost, unknown, note = None, str(error), None
    return Scorer(domain.action_names(config), unknown, note, reader, judged, expected_cost, typical)


def occlusion(
    judged: policy.Policy,
    observations: np.ndarray,
    actions: np.ndarray,
    probability: np.ndarray,
    columns: Mapping[str, np.ndarray],
    typical: np.ndarray,
) -> list[list[tuple[str, float]]]:
    """For each row the three columns whose values change the probability of its action most, the largest first.

    The change is P(action) minus what it is with the column's typical value in its place (Zeiler and Fergus 2014).

    Args:
        observations: `[R, D]`.
        actions: `[R]` chosen, with their probability `[R]`.
        columns: name -> columns of an observation.
        typical: `[D]`.
    """
    rows, names = np.arange(len(actions)), list(columns)
    change = np.zeros((len(actions), len(names)))
    for i, place in enumerate(columns.values()):
        occluded = observations.copy()
        occluded[:, place] = typical[place]
        probabilities = _probabilities(judged, occluded)
        assert probabilities is not None
        change[:, i] = probability - probabilities[rows, actions]
    order = np.argsort(-np.abs(change), axis=1, kind="stable")[:, :REASONS]
    return [
        [(names[i], float(change[row, i])) for i in best if change[row, i]] for row, best in enumerate(order.tolist())
    ]


def _probabilities(judged: policy.Policy, observations: np.ndarray) -> np.ndarray | None:
    return judged.probabilities(observations) if hasattr(judged, "probabilities") else None
