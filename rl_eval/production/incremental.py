"""One training from the store: claimed, kept alive, written as a run, and counted once.

The candidate's folder has the name of its training. So where a process dies after it wrote the candidate, the next
one takes the training over, finds the candidate, and trains nothing twice; where it dies before, the next one trains on
the same experience.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rl_eval import domains, run
from rl_eval.errors import InputError
from rl_eval.production.learning import Candidate, learn_from_logs, learn_from_scratch
from rl_eval.production.learning_config import TrainingConfig
from rl_eval.production.proof import read_fisher, write_candidate
from rl_eval.production.store import Store, Training, TrainingLostError, UnavailableError
from rl_eval.production.transitions import transitions
from rl_eval.provenance import git_revision
from rl_eval.serving.source import load

FULL = "monthly"  # the reason of a training from scratch, on all experience that is kept
RENEWALS = 4  # in a lease
COPIES = 8  # of an environment that a champion is played in


def train_once(
    store: Store,
    champion: run.Run,
    folder: Path,
    config: TrainingConfig,
    reason: str,
    *,
    known: np.ndarray | None = None,
    trust: bool = False,
) -> run.Run | None:
    """Train a candidate on the accepted experience that no training has had, or finish a training that fell silent.

    Args:
        champion: whom it goes on from.
        folder: of candidates, one folder a training.
        reason: why it is trained, as the trigger says it.
        known: `[B, D]` observations of what the champion learned before; None: those of experience trained on
            before. `observations_of_run` gives them for the first training.
        trust: whether plugins of the champion's run may be imported.

    Returns:
        The candidate; None where nothing came of it: no complete transitions, or numbers that are not finite. What
        it had is not trained on again then.

    Raises:
        TrainingRunningError: another training runs.
        TrainingLostError: this process was silent for so long that another has taken the training over.
        InputError: the champion cannot learn; its experience is free again.
    """
    training = store.start_training(reason, lease=config.lease)
    directory = folder / f"training_{training.name}"
    if directory.is_dir():
        return _finish(store, training, run.read_run(directory))
    try:
        with _alive(store, training, config.lease), tempfile.TemporaryDirectory() as scratch:
            candidate = _learn(store, training, champion, config, known, Path(scratch), trust)
            if candidate is None:
                store.finish_training(training, {"candidate": None, "reason": "no complete transition"})
                return None
            code = {"revision": git_revision(), "training": training.name, "reason": training.kind}
            written = write_candidate(champion, candidate, directory, code)
    except FloatingPointError as error:
        store.finish_training(training, {"candidate": None, "reason": str(error)})
        return None
    except TrainingLostError:
        raise
    except InputError as error:
        store.finish_training(training, {"candidate": None, "reason": str(error)}, failed=True)
        raise
    return _finish(store, training, written)


def _learn(
    store: Store,
    training: Training,
    champion: run.Run,
    config: TrainingConfig,
    known: np.ndarray | None,
    scratch: Path,
    trust: bool,
) -> Candidate | None:
    """A candidate, from scratch where the training is the monthly one; None where there is nothing to learn from."""
    source = load(str(champion.path), seed=0, trust=trust)
    new = store.experiences_of(training)
    own = {one.seq for one in new}
    first = training.first_seq or None
    before = [one for one in store.accepted_since() if one.seq not in own and (first is None or one.seq < first)]
    if training.kind == FULL:
        everything = transitions([*before, *new])
        if not everything:
            return None
        return learn_from_scratch(source, everything, config, folder=scratch, seed=training.id)
    if not (complete := transitions(new)):
        return None
    return learn_from_logs(
        source,
        complete,
        transitions(before),
        config,
        known=known,
        folder=scratch,
        fisher=read_fisher(champion),
        seed=training.id,
    )


def _finish(store: Store, training: Training, written: run.Run) -> run.Run:
    store.finish_training(training, {"candidate": written.path.name})
    return written


@contextlib.contextmanager
def _alive(store: Store, training: Training, lease: float) -> Iterator[None]:
    """Within: a thread renews the lease.

    Raises:
        TrainingLostError: at the end, where somebody else has taken it over meanwhile.
    """
    over, lost = threading.Event(), threading.Event()

    def renew() -> None:
        while not over.wait(lease / RENEWALS):
            try:
                store.renew_training(training)
            except TrainingLostError:
                lost.set()
                return
            except UnavailableError:
                continue  # it is tried again, while the lease lasts

    thread = threading.Thread(target=renew, daemon=True, name="training lease")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if lost.is_set():
        raise TrainingLostError(f"training {training.id} is somebody else's by now: leave what this one has learned")


def observations_of_run(champion: run.Run, count: int, *, trust: bool = False) -> np.ndarray:
    """Observations `[count, D]` that a run's policy meets on the training part of its environment.

    They say what it learned before its first training in production; see `known` of `train_once`.

    Args:
        count: at least 1.

    Raises:
        InputError: the run is damaged, or its environment is not here.
    """
    source = load(str(champion.path), seed=0, trust=trust)
    if source.env_config is None:
        raise InputError(f"{champion.path} is of an environment that is not here: install its domain")
    vector = domains.make(source.env_config, n_envs=COPIES, part="train")
    try:
        rng = np.random.default_rng(0)
        collected: list[np.ndarray] = []
        observations, infos = vector.reset(seed=0)
        while len(collected) * COPIES < count:
            flat = np.asarray(observations, np.float32).reshape(COPIES, -1)
            collected.append(flat.copy())
            mask = infos.get("action_mask")
            decided = source.policy.decide(np.asarray(observations), np.zeros(COPIES, bool), mask, rng)
            observations, _, _, _, infos = vector.step(decided.actions)
    finally:
        vector.close()
    return np.concatenate(collected)[:count]
