"""One training: experience, candidate, proof, version. Each part is done once, even if a process ends in between.

The store says which experience a training has, under a lease. The candidate is a folder named after the training, which
appears as a whole. The version names the training in its lineage. So a process that takes a training over goes on
after the last part that is there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rl_eval import provenance
from rl_eval.cost import Meter
from rl_eval.errors import InputError
from rl_eval.formatting import whole_words
from rl_eval.production.audit import AuditError
from rl_eval.production.learning import learn_from_logs, learn_from_scratch, margin_gradients
from rl_eval.production.loop import periods
from rl_eval.production.loop.champion_observations import champion_observations
from rl_eval.production.loop.experience import fingerprint, split, traffic
from rl_eval.production.loop.versions import champion_of, load_source, require_same_spaces
from rl_eval.production.parts import Parts
from rl_eval.production.proof import Judged, Proof, prove, read_fisher, write_candidate
from rl_eval.production.registry import (
    CHALLENGER,
    CHAMPION,
    Lineage,
    RegistryError,
    StaleAliasError,
    Version,
    of_training,
    register_once,
)
from rl_eval.production.serving_cost import rate_of_machine
from rl_eval.production.store import Training, TrainingLostError, UnavailableError
from rl_eval.production.transitions import transitions
from rl_eval.production.triggers import FULL
from rl_eval.run import Run, read_run, remove_directory
from rl_eval.serving.learning import MAX_TRANSITIONS
from rl_eval.serving.source import Source

MOST_TRAFFIC = 20_000  # held-out decisions that a proof reads
ACTOR = "loop"
BEAT_S = 30.0  # between two signs of life, at most


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        version: its number in the registry.
        challenger: whether it is rolled out now.
        decision: of its proof.
        sentence: what happened, with the reasons.
    """

    version: int
    challenger: bool
    decision: str
    sentence: str

    @property
    def outdated(self) -> bool:
        """Whether it passed, and could not be rolled out."""
        return self.decision == "PASS" and not self.challenger


def run_training(parts: Parts, training: Training, beat: Callable[[], None] = lambda: None) -> Trained:
    """Train, prove, register, and begin the roll-out of a candidate; then end the training in the store.

    A candidate that passes is outdated where another challenger or another champion has come meanwhile, by a person's
    command. Then its experience is free again, so that the next training learns from it.

    Args:
        beat: called often while it runs.

    Raises:
        InputError: it failed, and its experience is free again; says why.
        UnavailableError, RegistryError, AuditError: a part is away; another process can take over from what exists.
        TrainingLostError: another process has it.
    """
    meter = Meter(rate_of_machine(parts.config.loop.machine, "loop.machine"))
    try:
        with _lease(parts, training, beat):
            trained = _train(parts, training, meter)
    except (TrainingLostError, UnavailableError, RegistryError, AuditError):
        raise  # it is somebody else's, or it goes on with what is there once its lease has ended
    except (InputError, FloatingPointError, OSError, MemoryError, RuntimeError) as error:
        sentence = f"training {training.id} failed: {error}"
        parts.store.finish_training(training, {"sentence": whole_words(sentence, 2000)}, failed=True, now=parts.clock())
        parts.audit.append("training_failed", ACTOR, {"training": training.id, "reason": whole_words(str(error), 2000)})
        raise InputError(sentence) from error
    result = {"sentence": whole_words(trained.sentence, 2000), "version": trained.version, "decision": trained.decision}
    parts.store.finish_training(training, result, failed=trained.outdated, now=parts.clock())
    return trained


def _train(parts: Parts, training: Training, meter: Meter) -> Trained:
    version = of_training(parts.registry, training.name)
    if version is None:
        version = _make_version(parts, training, meter)
    verdict = version.lineage.verdict
    decision, reasons = verdict["proof"]["decision"], "; ".join(verdict["reasons"])
    if decision != "PASS":
        return Trained(version.number, False, decision, f"version {version.number} is not rolled out: {reasons}")
    obstacle = _begin(parts, version, verdict["champion"])
    if obstacle is None:
        return Trained(version.number, True, decision, f"version {version.number} is rolled out: {reasons}")
    sentence = f"version {version.number} passed and is not rolled out, and its experience is free again: {obstacle}"
    return Trained(version.number, False, decision, sentence)


def _make_version(parts: Parts, training: Training, meter: Meter) -> Version:
    """Train, prove and register a candidate."""
    number, champion_run, champion = champion_of(parts)
    learned, held_out = split(parts.store.experiences_of(training), parts.config.loop.held_out)
    run = _candidate(parts, training, number, champion_run, champion, learned)
    source = load_source(parts, run)
    require_same_spaces(source, champion)
    proof = _prove(parts, training, (run, source), (champion_run, champion), held_out)
    parts.store.renew_training(training, now=parts.clock())  # a process that has lost the training stops here
    version = _register(parts, training, number, source, run, proof, fingerprint(learned), meter)
    remove_directory(run.path)
    return version


@contextlib.contextmanager
def _lease(parts: Parts, training: Training, beat: Callable[[], None]) -> Iterator[None]:
    """Say from another thread that the training is alive."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(min(parts.config.training.lease / 4, BEAT_S)):
            beat()
            # If the store is away, the next one counts; a process that has lost the training cannot finish it.
            with contextlib.suppress(InputError):
                parts.store.renew_training(training, now=parts.clock())

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _candidate(
    parts: Parts, training: Training, number: int, champion_run: Run, champion: Source, learned: Sequence[Any]
) -> Run:
    directory = parts.folder / "candidates" / f"training-{training.name}"
    if directory.exists():
        return read_run(directory)
    facts = {"training": training.id, "kind": training.kind, "experiences": len(learned), "champion": number}
    parts.audit.append("training_began", ACTOR, facts)
    before = parts.store.accepted(before=training.first_seq or None, limit=MAX_TRANSITIONS)
    older = transitions(split(before, parts.config.loop.held_out)[0])
    new, settings = transitions(learned), parts.config.training
    scratch = parts.folder / "candidates"
    scratch.mkdir(parents=True, exist_ok=True)
    if training.kind == FULL:
        candidate = learn_from_scratch(champion, [*older, *new], settings, folder=scratch, seed=training.id)
    else:
        held_by = None
        if settings.ewc_lambda:
            held_by = champion_observations(parts, number, champion_run, settings.fisher_rows)
        candidate = learn_from_logs(
            champion, new, older, settings, fisher_observations=held_by, folder=scratch,
            fisher=read_fisher(champion_run), seed=training.id,
        )  # fmt: skip
    code = {"code": provenance.git_revision() or provenance.versions()["rl_eval"]}
    return write_candidate(champion_run, candidate, directory, code, [*older, *new])


def _prove(
    parts: Parts,
    training: Training,
    candidate: tuple[Run, Source],
    champion: tuple[Run, Source],
    held_out: Sequence[Any],
) -> Proof:
    new, old = (_judged(parts, *one) for one in (candidate, champion))
    scores, measured = periods.measure(parts, new, old, training.id, held_out)
    logged = traffic(held_out[-MOST_TRAFFIC:], candidate[1].policy.actions)
    files = [parts.config.directory / file for file in parts.config.proof.suites]
    proof = prove(
        new, old, parts.config.proof, traffic=logged, periods=scores, suite_files=files, seed=training.id,
        trust=parts.config.serve.trust,
    )  # fmt: skip
    facts = {"training": training.id, "decision": proof.decision, "candidate": proof.candidate,
             "reasons": [whole_words(reason, 400) for reason in proof.reasons]}  # fmt: skip
    parts.audit.append("proof", ACTOR, facts)
    periods.keep(parts, measured)
    return proof


def _judged(parts: Parts, run: Run, source: Source) -> Judged:
    gradients = None
    if parts.config.proof.epsilon is not None:
        with contextlib.suppress(InputError):  # without gradients, only random changes are tried
            gradients = margin_gradients(source, parts.folder / "candidates")
    return Judged(source.policy, run, gradients)


def _register(
    parts: Parts,
    training: Training,
    parent: int,
    source: Source,
    run: Run,
    proof: Proof,
    data: str,
    meter: Meter,
) -> Version:
    spent = meter.training
    cost = {"wall_s": round(spent.machine_s, 2), "money": spent.money, "currency": spent.currency,
            "energy_wh": spent.energy_wh, "machine": meter.rate.machine}  # fmt: skip
    reasons = [whole_words(reason, 600) for reason in proof.reasons]
    verdict = {"kind": training.kind, "champion": parent, "proof": _plain(proof.to_json()), "reasons": reasons}
    code = provenance.git_revision() or str(provenance.versions()["rl_eval"])
    own = None if training.kind == FULL else parent
    lineage = Lineage(data, own, verdict, code, cost, source.policy.version)
    version = register_once(parts.registry, training.name, run.path, lineage)
    facts = {"version": version.number, "training": training.id, "parent": own, "policy": source.policy.version,
             "decision": proof.decision, "digest": version.digest}  # fmt: skip
    parts.audit.append("registered", ACTOR, facts)
    return version


def _plain(value: Any) -> Any:
    """JSON values of what a proof holds."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _begin(parts: Parts, version: Version, champion: int) -> str | None:
    """Make a version the challenger, where none is and the champion is still the one it was proved against.

    Returns:
        None: it is; else why not.
    """
    if parts.registry.aliases().get(CHALLENGER) == version.number:
        return None
    try:
        parts.registry.move({CHALLENGER: version.number}, {CHALLENGER: None, CHAMPION: champion})
    except StaleAliasError as error:
        facts = {"version": version.number, "champion": champion, "reason": str(error)}
        parts.audit.append("candidate_outdated", ACTOR, facts)
        return str(error)
    parts.audit.append("challenger", ACTOR, {"version": version.number, "champion": champion})
    return None
