"""A candidate as a run directory, so that suites judge it, servers load it and `init=` starts from it."""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import domains, run
from rl_eval.errors import InputError
from rl_eval.exposure import FILE as EXPOSURE_FILE
from rl_eval.exposure import Exposure, exposed_to_traffic, read_exposure_of, write_exposure
from rl_eval.production.learning import Candidate
from rl_eval.serving.rows import StoredTransition

COPIED = ("config.yaml", "preprocessing.json")
# Of `run.json`, on the run that the exposure is of.
KEPT = ("env", "agent", "seed", "cases", "episodes", "config_hash", "data_fingerprints")
FISHER = "fisher"  # a folder of the run: what holds the weights of the next candidate


def write_candidate(
    champion: run.Run,
    candidate: Candidate,
    directory: Path,
    code: Mapping[str, Any],
    learned: Sequence[StoredTransition] = (),
) -> run.Run:
    """Write a candidate with the config and the preprocessing of its champion.

    Its exposure says what the champion was exposed to, and what logged traffic was learned from, so that a suite
    refuses to judge it on that.

    Args:
        directory: does not exist yet.
        code: what is known of the code that trained, such as its revision.
        learned: what the candidate learned from, each unit in the order of its decisions.

    Raises:
        InputError: the champion's run is damaged, the data of its environment is not here, or the directory exists.
    """
    if directory.exists():
        raise InputError(f"{directory} exists: name a new folder for the candidate")
    parent = champion.judged_snapshot()
    now = datetime.datetime.now(datetime.UTC).isoformat()
    name = run.step_name(int(candidate.meta["env_steps"]))
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for file in COPIED:
        if (champion.path / file).is_file():
            shutil.copyfile(champion.path / file, temporary / file)
    record = _exposure(champion, learned)
    if record is not None:
        write_exposure(temporary, record)
    run.write_checkpoint(temporary / "snapshots" / name, "policy", candidate.arrays, candidate.meta)
    if candidate.fisher is not None:
        run.write_checkpoint(temporary / FISHER, FISHER, {"fisher": candidate.fisher}, {"parent": candidate.parent})
    lineage = {
        "run": str(champion.path),
        "snapshot": parent.name,
        "sha256": hashlib.sha256((parent / "policy.safetensors").read_bytes()).hexdigest(),
        "env_steps": champion.info.get("env_steps"),
        "lineage": [*([champion.info["init"]] if isinstance(champion.info.get("init"), Mapping) else [])],
    }
    kept = {key: champion.info.get(key) for key in KEPT}
    if record is not None and record.cases and isinstance(kept["cases"], Mapping):
        counted = {"train": record.train, "validation": record.validation}
        kept["cases"] = {**kept["cases"], **{part: int(one.counts.sum()) for part, one in counted.items()}}
    info = {
        **kept,
        "status": "finished",
        "reason": None,
        "name": directory.name,
        "started": now,
        "ended": now,
        "snapshot": name,
        "env_steps": int(candidate.meta["env_steps"]),
        "init": None if candidate.parent is None else lineage,
        "production": {"parent": candidate.parent, "new": candidate.new, "replayed": candidate.replayed, **code},
        run.FILES_SHA256: {
            file: run.file_sha256(temporary / file)
            for file in (*COPIED[1:], EXPOSURE_FILE)
            if (temporary / file).is_file()
        },
    }
    run.write_json(temporary / "run.json", info)
    run.fsync(temporary)
    try:
        temporary.rename(directory)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise InputError(f"{directory} cannot be written ({error.strerror}): name a new folder") from error
    run.fsync(directory.parent)
    return run.read_run(directory)


def _exposure(champion: run.Run, learned: Sequence[StoredTransition]) -> Exposure | None:
    record = read_exposure_of(champion)
    if record is None or not learned:
        return record
    rows = learned if record.cases else _beginnings(learned)
    observations = np.array([np.frombuffer(row.decision.observation, np.float32) for row in rows])
    env = run.environment_of(champion)
    env = domains.domain(env.name).with_preprocessing(env, run.read_preprocessing(champion))
    return exposed_to_traffic(record, env, observations)


def _beginnings(learned: Sequence[StoredTransition]) -> list[StoredTransition]:
    """The first decision of each unit, and those after an episode of it has ended."""
    going_on: set[str] = set()
    begun = []
    for row in learned:
        unit = row.decision.unit
        if unit is None or unit not in going_on:
            begun.append(row)
        if unit is not None:
            ended = row.experience.terminated or row.experience.truncated
            (going_on.discard if ended else going_on.add)(unit)
    return begun


def read_fisher(parent: run.Run) -> np.ndarray | None:
    """What holds the weights of a candidate that goes on from this run; None where nothing does.

    Raises:
        InputError: it is damaged.
    """
    if not (parent.path / FISHER).is_dir():
        return None
    arrays, _ = run.read_checkpoint(parent.path / FISHER, FISHER)
    fisher = arrays.get("fisher")
    if fisher is None or fisher.ndim != 1 or not np.isfinite(fisher).all():
        raise InputError(f"{parent.path / FISHER} is damaged: remove it, and the weights are not held")
    return np.array(fisher, np.float32)
