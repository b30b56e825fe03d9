"""Baselines: fixed sequences of mutations, searches that ask a score, and the exact optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rl_eval.domains.base import Part
from rl_eval.domains.prompt.config import MUTATION_COUNT, Config
from rl_eval.domains.prompt.environment.dataset import PromptSet, load_part
from rl_eval.domains.prompt.environment.states import APPLIED, STATES
from rl_eval.domains.prompt.text.mutations import MUTATIONS
from rl_eval.errors import InputError

PARTS: tuple[Part, ...] = ("train", "validation", "test")
STOP = MUTATION_COUNT


def toward(wanted: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The first wanted legal mutation of each copy, `[N]`; else stop; where there is no stop, the first legal action.

    Args:
        wanted: bool `[N, 5]`.
        mask: bool `[N, A]`, which actions are legal.
    """
    useful = wanted & mask[:, :MUTATION_COUNT]
    last = STOP if mask.shape[1] > STOP else 0
    otherwise = np.full(len(mask), last) if last else mask.argmax(axis=1)
    return np.where(useful.any(axis=1), useful.argmax(axis=1), otherwise)


class FixedSequence:
    """Applies the same mutations to every prompt, and stops.

    Args:
        state: whose bits are the mutations.
        actions: A of the environment.
    """

    def __init__(self, state: int, actions: int):
        self._wanted, self._actions = APPLIED[state], actions

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """The next mutation of each copy, `[N]`."""
        legal = np.ones((len(obs), self._actions), bool) if mask is None else mask
        return toward(np.broadcast_to(self._wanted, (len(obs), MUTATION_COUNT)), legal)


class Planned:
    """Applies the mutations that were chosen for each start prompt before the episode, and stops.

    The start is found by the observation, so these policies play only the prompts of their config.

    Args:
        plan: maps the prompts of a part to the state to go to, `[S]`.
        parts: those that it plays.
    """

    def __init__(self, config: Config, plan: Callable[[PromptSet], np.ndarray], parts: tuple[Part, ...] = PARTS):
        self._actions = MUTATION_COUNT + config.stop
        self._targets: dict[bytes, int] = {}
        for part in parts[::-1]:
            prompts = load_part(config, part)
            for start, target in enumerate(plan(prompts)):
                for state in range(STATES):
                    self._targets.setdefault(prompts.observations[start, state].tobytes(), int(target))

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """The next mutation of each copy, `[N]`.

        Raises:
            InputError: an observation belongs to no prompt of the config.
        """
        try:
            targets = np.array([self._targets[row.tobytes()] for row in np.ascontiguousarray(obs)], np.int64)
        except KeyError as error:
            raise InputError(
                "the baseline only plays prompts of its own config, and this is not one of them"
            ) from error
        legal = np.ones((len(obs), self._actions), bool) if mask is None else mask
        return toward(APPLIED[targets], legal)


def reachable_within(prompts: PromptSet, config: Config) -> np.ndarray:
    """Which states legal mutations lead to within an episode, bool `[S, 32]`."""
    return prompts.states.can_reach & (APPLIED.sum(axis=1) <= config.max_mutations)


def best_states(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The allowed state of the highest score, `[S]`; the one with the lowest number among equal ones."""
    return np.where(allowed, scores, -np.inf).argmax(axis=1)


def best_sequence(config: Config) -> int:
    """The mutations that gain most on the training prompts, as a state, by the language model of the reward model.

    What the sequence leads to from a start leaves out mutations that are not legal there. The order of mutations does
    not change the result, so 32 sets are all sequences there are.
    """
    prompts = load_part(config, "train")
    gains = [
        np.mean(prompts.scores["feedback"][np.arange(len(prompts)), ends] - prompts.scores["feedback"][:, 0])
        for ends in (_end_of(state, prompts, config) for state in range(STATES))
    ]
    return int(np.argmax(gains))


def _end_of(state: int, prompts: PromptSet, config: Config) -> np.ndarray:
    """Where `FixedSequence` ends from each start, `[S]`."""
    ends, rows = np.zeros(len(prompts), np.int64), np.arange(len(prompts))
    for _ in range(config.max_mutations):
        useful = prompts.states.legal[rows, ends] & APPLIED[state]
        ends = np.where(useful.any(axis=1), ends | (1 << useful.argmax(axis=1)), ends)
    return ends


def greedy_on(scores: np.ndarray, legal: np.ndarray, steps: int) -> np.ndarray:
    """Where a search ends that always takes the mutation of the highest score, as long as one is better, `[S]`.

    Args:
        scores: `[S, 32]`.
        legal: bool `[S, 32, 5]`.
    """
    rows, state = np.arange(len(scores)), np.zeros(len(scores), np.int64)
    for _ in range(steps):
        following = state[:, None] | (1 << np.arange(MUTATION_COUNT))
        values = np.where(legal[rows, state], scores[rows[:, None], following], -np.inf)
        better = values.max(axis=1) > scores[rows, state]
        state = np.where(better, following[rows, values.argmax(axis=1)], state)
    return state


def hill_climbing(scores: np.ndarray, legal: np.ndarray, hashes: np.ndarray, trials: int) -> np.ndarray:
    """Where a search ends that tries random mutations and keeps what scores higher, `[S]`.

    After GrIPS (Prasad et al., EACL 2023): edits are drawn at random, each candidate is scored, and the best prompt so
    far goes on. Each trial asks for one score, so `trials` is the number of scored prompts.

    Args:
        scores: `[S, 32]`.
        legal: bool `[S, 32, 5]`.
        hashes: uint64 `[S]`, which seed the draws of each start.
    """
    ends = np.zeros(len(scores), np.int64)
    for start, seed in enumerate(hashes):
        rng, state, tried = np.random.default_rng(int(seed)), 0, set[int]()
        for _ in range(trials):
            choices = [state | 1 << bit for bit in np.flatnonzero(legal[start, state]).tolist()]
            choices = [choice for choice in choices if choice not in tried]
            if not choices:
                break
            choice = choices[int(rng.integers(len(choices)))]
            tried.add(choice)
            if scores[start, choice] > scores[start, state]:
                state = choice
        ends[start] = state
    return ends


def _planned(
    plan: Callable[[PromptSet, Config], np.ndarray], parts: tuple[Part, ...] = PARTS
) -> Callable[[Config], Planned]:
    return lambda config: Planned(config, lambda prompts: plan(prompts, config), parts)


def _fixed(state: int) -> Callable[[Config], FixedSequence]:
    return lambda config: FixedSequence(state, MUTATION_COUNT + config.stop)


def hindsight_sequence(prompts: PromptSet, config: Config) -> np.ndarray:
    """Where the one sequence of mutations ends from each start that gains most on these prompts by the judge, `[S]`.

    It is chosen by what it is judged on, so no sequence that is fixed beforehand does better.
    """
    judge, rows = prompts.scores["judge"], np.arange(len(prompts))
    ends = [_end_of(state, prompts, config) for state in range(STATES)]
    return ends[int(np.argmax([np.mean(judge[rows, last] - judge[:, 0]) for last in ends]))]


def _optimal(prompts: PromptSet, config: Config) -> np.ndarray:
    return best_states(prompts.scores["judge"], reachable_within(prompts, config))


NAMES: Sequence[str] = (
    "none", *MUTATIONS, "best_sequence", "hindsight_sequence", "greedy_reward_model", "hill_climbing", "optimal",
)  # fmt: skip

BASELINES: dict[str, Callable[[Config], Any]] = {
    "none": _fixed(0),
    **{name: _fixed(1 << bit) for bit, name in enumerate(MUTATIONS)},
    "best_sequence": lambda config: FixedSequence(best_sequence(config), MUTATION_COUNT + config.stop),
    "hindsight_sequence": _planned(hindsight_sequence, PARTS[1:]),
    "greedy_reward_model": _planned(
        lambda prompts, config: greedy_on(prompts.scores["predicted"], prompts.states.legal, config.max_mutations)
    ),
    "hill_climbing": _planned(
        lambda prompts, config: hill_climbing(
            prompts.scores["feedback"], prompts.states.legal, prompts.hashes, config.max_mutations
        )
    ),
    "optimal": _planned(_optimal, PARTS[1:]),
}
