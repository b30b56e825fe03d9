"""A candidate from the champion: it goes on learning from logged decisions of any policy.

Three things keep what the champion knew: experience of earlier times is learned from again, weights that mattered are
held (elastic weight consolidation), and the statistics that scale observations stay. Three things make the logs of
other policies usable: PPO and A2C weigh by π/μ, clipped at 1, as V-trace does (Espeholt et al. 2018, arXiv
1802.01561, eq. 1); their update then clips the ratio to the policy at its start, not to the one that logged (Hilton et
al. 2022, arXiv 2110.00641); DQN learns one step at a time, and so about its own greedy policy from any (Watkins 1989).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import seeding
from rl_eval.errors import InputError
from rl_eval.production.learning_config import TrainingConfig
from rl_eval.serving.columns import columns
from rl_eval.serving.learning import MAX_TRANSITIONS, Learner
from rl_eval.serving.rows import StoredTransition
from rl_eval.serving.served_policy import ServedPolicy
from rl_eval.serving.source import Source

SMALLEST_BATCH = 32


@dataclass(frozen=True)
class Candidate:
    """What a training made of a champion.

    Attributes:
        parent: the version of the champion; None: it was trained from scratch.
        arrays, meta: its policy checkpoint.
        fisher: float32 `[P]`, what holds the weights of the next one; None where nothing was held.
        new, replayed: transitions learned from, and earlier ones learned from again.
        metrics: of the last round.
    """

    parent: str | None
    policy: ServedPolicy
    arrays: Mapping[str, np.ndarray] = field(repr=False)
    meta: Mapping[str, Any] = field(repr=False)
    fisher: np.ndarray | None = field(repr=False)
    new: int
    replayed: int
    metrics: Mapping[str, float]


def learn_from_logs(
    champion: Source,
    new: Sequence[StoredTransition],
    old: Sequence[StoredTransition],
    config: TrainingConfig,
    *,
    folder: Path,
    fisher_observations: np.ndarray | None = None,
    fisher: np.ndarray | None = None,
    seed: int = 0,
) -> Candidate:
    """Train a candidate.

    Args:
        new: accepted experience that no training has used, in the order of its decisions.
        old: experience that trainings before used; a share of it is learned from again.
        folder: of a replay buffer on disk.
        fisher_observations: `[B, D]` of what the champion learned before, at which the Fisher information is estimated;
            None: those of `old`.
        fisher: of the champion's own training; None: it was none of these.
        seed: of what is drawn from `old`.

    Raises:
        InputError: there is nothing to learn from, or the champion cannot learn, or its weights cannot be held.
        FloatingPointError: a loss or a weight is not finite.
    """
    if not new:
        raise InputError("there is no new experience to learn from: collect more")
    learner = Learner(champion, 1, folder, changes=_changes(champion, config, len(new)), others=True)
    learner.start(champion.arrays, champion.meta)
    replayed = _replayed(old, round(config.replay * len(new)), seed)
    held = None
    if config.ewc_lambda:
        observations, masks = _held_by(champion, fisher_observations, old, config, seed)
        held = learner.hold(config.ewc_lambda, observations, masks, fisher, config.ewc_decay)
    everything = _most([*replayed, *new])
    metrics: dict[str, float] = {}
    if learner.on_policy:
        for _ in range(config.rounds):
            metrics = learner.learn(everything)
    else:
        learner.refill(replayed)
        metrics = learner.learn(_most(new))
    arrays, _, policy = learner.checkpoint()
    weights, meta = learner.agent.policy_checkpoint()
    arrays = {name: np.array(arrays[name]) for name in weights}
    steps = int(champion.meta.get("env_steps") or 0) + len(new)
    meta = {**meta, "agent": champion.meta["agent"], "env": champion.meta["env"], "env_steps": steps}
    return Candidate(champion.policy.version, policy, arrays, meta, held, len(_most(new)), len(replayed), metrics)


def learn_from_scratch(
    champion: Source, experience: Sequence[StoredTransition], config: TrainingConfig, *, folder: Path, seed: int = 0
) -> Candidate:
    """Train a policy with the champion's settings, but new weights and statistics, on all experience there is.

    Args:
        experience: in the order of its decisions.
        folder, seed: as of `learn_from_logs`; the first weights are drawn from the seed too.

    Raises:
        InputError, FloatingPointError: as `learn_from_logs`.
    """
    run_config = {**(champion.run_config or {}), "seed": seed} if champion.run_config is not None else None
    renewed = dataclasses.replace(champion, run_config=run_config)
    arrays, meta = Learner(renewed, None, folder).agent.policy_checkpoint()
    arrays = {name: np.array(value) for name, value in arrays.items()}
    kept = {name: champion.meta[name] for name in ("agent", "env")}
    start = dataclasses.replace(renewed, arrays=arrays, meta={**meta, **kept, "env_steps": 0})
    full = config.model_copy(update={"ewc_lambda": 0.0, "replay": 0.0, "rounds": config.full_rounds})
    candidate = learn_from_logs(start, experience, [], full, folder=folder, seed=seed)
    return dataclasses.replace(candidate, parent=None)


def _changes(champion: Source, config: TrainingConfig, count: int) -> dict[str, Any]:
    """Hyper-parameters that are not those of the champion's run.

    The experience is less than a run collects between updates: a batch is at most an eighth of the `count` new
    transitions, so that there are gradient steps at all. Q-learning takes as many more of them as there are rounds.
    """
    own = (champion.run_config or {}).get("agent")
    own = own if isinstance(own, Mapping) else {}
    changes: dict[str, Any] = {} if config.lr is None else {"lr": config.lr}
    if "batch_size" in own:
        changes["batch_size"] = min(int(own["batch_size"]), max(count // 8, SMALLEST_BATCH))
    if "n_epochs" in own and config.epochs is not None:
        changes["n_epochs"] = config.epochs
    if "updates_per_step" in own:
        changes["updates_per_step"] = float(own["updates_per_step"]) * config.rounds
    return changes


def _most(transitions: Sequence[StoredTransition]) -> list[StoredTransition]:
    """The latest that one update takes."""
    return list(transitions[-MAX_TRANSITIONS:])


def _replayed(old: Sequence[StoredTransition], count: int, seed: int) -> list[StoredTransition]:
    """About `count` earlier transitions: whole units, so that episodes stay together."""
    units: dict[Any, list[int]] = {}
    for index, row in enumerate(old):
        units.setdefault(row.decision.unit or row.seq, []).append(index)
    everyone = list(units.values())
    chosen: list[int] = []
    for unit in seeding.generator(seed, "replay").permutation(len(everyone)).tolist():
        if len(chosen) >= count:
            break
        chosen += everyone[unit]
    return [old[index] for index in sorted(chosen)]


def _held_by(
    champion: Source,
    observations: np.ndarray | None,
    old: Sequence[StoredTransition],
    config: TrainingConfig,
    seed: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Observations at which the Fisher information is estimated, and which actions were legal; None: all."""
    masks = None
    if observations is None and old:
        earlier = columns(_most(old), champion.policy)
        observations, masks = earlier["obs"], earlier.get("masks")
    if observations is None or not len(observations):
        raise InputError(
            "it is not known what the champion learned before, so its weights cannot be held: give observations of "
            "its training, or set training.ewc_lambda to 0"
        )
    rows = seeding.generator(seed, "replay").permutation(len(observations))[: config.fisher_rows]
    return observations[rows], None if masks is None else masks[rows]


def margin_gradients(source: Source, folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The gradients that a robustness proof takes: observations `[N, D]` to those of the best action's lead `[N, D]`.

    Args:
        folder: of a replay buffer on disk.

    Raises:
        InputError: the policy has none.
    """
    learner = Learner(source, None, folder)
    learner.start(source.arrays, source.meta)
    gradients = getattr(learner.agent, "margin_gradients", None)
    if gradients is None or source.policy.actions is None:
        raise InputError(f"{source.name} has no gradients of a lead between actions: prove it with random changes")
    return gradients
