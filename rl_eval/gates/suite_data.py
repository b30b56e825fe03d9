"""The data of a suite: what its policies are judged on, and where it is.

The data that a suite names is what is judged, no matter what a run was trained on: `env.path`, `--rl-data`, or data
that is generated. Where a run was trained on other data, its preprocessing is applied. A suite that names none is
played on the run's own test part.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rl_eval.domains import EnvConfig, domain, with_fitted_keys
from rl_eval.errors import InputError, failure
from rl_eval.gates.data_places import data_name
from rl_eval.gates.suite import Suite
from rl_eval.policy import names_policy
from rl_eval.policy import preprocessing as preprocessing_of_policy
from rl_eval.run import Run, environment_of, read_preprocessing, read_run
from rl_eval.untrusted_files import only_regular

# The key of a config that says where data is, for a domain that has it among its `location_keys`.
PLACE = "path"


def needs_data(env: EnvConfig) -> bool:
    """Whether data is needed that a config neither names nor generates."""
    where = domain(env.name)
    if PLACE not in where.location_keys or getattr(env, PLACE) is not None:
        return False
    try:
        where.fingerprints(env)
    except InputError:
        return True
    return False


def with_data(suite: Suite, place: Path | None) -> Suite:
    """The suite on the data at a place, where it needs some and names none."""
    if place is None or not needs_data(suite.judged):
        return suite
    at = {PLACE: str(place)}
    env = suite.env.model_copy(update=at) if needs_data(suite.env) else suite.env
    return replace(suite, env=env, judged=suite.judged.model_copy(update=at))


def as_the_suite_names_it(suite: Suite, text: str) -> str:
    """An error about a key of the environment, with the key that the person wrote: of `judge_on`, or `--rl-data`."""
    for key in suite.spec.judge_on:
        text = re.sub(rf"\benv\.{re.escape(key)}\b", f"judge_on.{key}", text)
    written = {*({} if isinstance(suite.spec.env, str) else suite.spec.env), *suite.spec.judge_on}
    place = getattr(suite.judged, PLACE, None)
    if place is not None and PLACE not in written:
        name = data_name(suite)
        text = text.replace(f"env.{PLACE}={place}", f"--rl-data {name}={place}")
        text = text.replace(f"set env.{PLACE} to a file", f"give another path with --rl-data {name}=PATH")
    return text


def environment_of_policy(suite: Suite, policy: str) -> EnvConfig:
    """The environment where a policy without a run is judged.

    Raises:
        InputError: the suite names no data, or it is not the pinned data.
    """
    if needs_data(suite.judged):
        raise InputError(
            f"{suite.label} names no data to judge {policy} on: name it with `--rl-data {data_name(suite)}=PATH`, or "
            f"as env.{PLACE} in the suite"
        )
    _require_pinned(suite, suite.judged)
    return suite.judged


def environment_to_judge(suite: Suite, run: Run) -> EnvConfig:
    """The suite's environment on the suite's data, with the run's preprocessing; or on the run's own data.

    Raises:
        InputError: the data does not exist, has changed, is not the pinned data, or cannot be preprocessed as the
            run's was.
    """
    trained, env = environment_of(run), suite.judged
    if needs_data(suite.judged):
        places = _own_places(run, trained)
        env = env.model_copy(update=places)
        _require_pinned(suite, env)
        _require_unchanged(run, with_fitted_keys(suite.env.model_copy(update=places), trained))
    else:
        _require_pinned(suite, env)
    return _with_preprocessing_of(suite, run, with_fitted_keys(env, trained))


def with_preprocessing_of(suite: Suite, env: EnvConfig, policy: str) -> EnvConfig:
    """An environment on the same data, with observations made as those that a policy was trained on.

    Raises:
        InputError: the policy's preprocessing is missing, cannot be read, or cannot be applied to this data.
    """
    where = domain(env.name)
    fitted = None if where.preprocessing(env) is None else preprocessing_of_policy(policy)
    if fitted is None:
        return env
    try:
        if fitted:
            return where.with_preprocessing(env, fitted)
        if _needs_no_other(env, policy):
            return env
        raise InputError(
            f"its preprocessing is missing, and {env.name} needs one: export the run again, train again, or name a "
            f"policy of {env.name}"
        )
    except InputError as error:
        raise InputError(f"{policy} cannot be judged on the data of {suite.label}: {error}") from error


def _needs_no_other(env: EnvConfig, policy: str) -> bool:
    """Whether a policy without a preprocessing is a run on this data as it is, or is refused when it is loaded."""
    if names_policy(policy):
        return False
    run = read_run(Path(policy))
    trained = environment_of(run)
    return trained.name != env.name or (with_fitted_keys(env, trained) == env and trained_on(env, run))


def policy_data_note(suite: Suite, policy: str) -> str | None:
    """What a verdict must say about the data of a policy without a run.

    Raises:
        InputError: as `with_preprocessing_of`, or the data cannot be loaded.
    """
    if needs_data(suite.judged) or with_preprocessing_of(suite, suite.judged, policy) == suite.judged:
        return None
    return f"{policy} was trained on other data; its preprocessing was applied"


def data_note(suite: Suite, run: Run) -> str | None:
    """What a verdict must say about the data; None if the run was trained on the suite's.

    Raises:
        InputError: the data cannot be loaded.
    """
    if needs_data(suite.judged):
        return f"the suite names no data: played on the {suite.part} part of the data of {_run_and_place(run)}"
    if trained_on(suite.judged, run):
        return None
    return f"{_run_and_place(run)} was trained on other data; its preprocessing was applied"


def trained_on(env: EnvConfig, run: Run) -> bool:
    """Whether a run was trained on the training part of this data; True for data that is drawn from seeds.

    Raises:
        InputError: the data cannot be loaded.
    """
    now = domain(env.name).fingerprints(env).get("train")
    return now is None or _recorded(run).get("train") == now


def place_of(run: Run) -> str:
    """Where a run found its data, to be added to its name; empty if it was generated."""
    trained = environment_of(run)
    values = [(key, getattr(trained, key)) for key in domain(trained.name).location_keys]
    named = [f"env.{key}={value}" for key, value in values if value is not None]
    return f" ({', '.join(named)})" if named else ""


def _run_and_place(run: Run) -> str:
    return f"{run.path}{place_of(run)}"


def _recorded(run: Run) -> Mapping[str, Any]:
    """Part -> fingerprint, as the run recorded it."""
    recorded = run.info.get("data_fingerprints")
    return recorded if isinstance(recorded, Mapping) else {}


def _own_places(run: Run, trained: EnvConfig) -> dict[str, Any]:
    keys = domain(trained.name).location_keys
    places = {key: getattr(trained, key) for key in keys if getattr(trained, key) is not None}
    for key, place in places.items():
        if not str(place).startswith("rest:") and not Path(str(place)).exists():
            raise InputError(
                f"{run.path} was trained on env.{key}={place}, which does not exist here: put the data back, "
                "or name the data of the suite with --rl-data"
            )
    return places


def _require_unchanged(run: Run, env: EnvConfig) -> None:
    before, now = _recorded(run), domain(env.name).fingerprints(env)
    for part in now:
        if not isinstance(before.get(part), str):
            raise InputError(
                f"{run.path / 'run.json'} records no fingerprint of the {part} part of the data that it was trained "
                "with, so it is unknown whether the data has changed: train again, or name the data of the suite "
                "with --rl-data"
            )
        if before[part] != now[part]:
            raise InputError(
                f"the {part} part of the data is not what {run.path} was trained with (its fingerprint differs): put "
                "the files back, train again, or name the data of the suite with --rl-data"
            )


def _with_preprocessing_of(suite: Suite, run: Run, env: EnvConfig) -> EnvConfig:
    where = domain(env.name)
    fitted = None if where.preprocessing(env) is None else read_preprocessing(run)
    try:
        if fitted is not None:
            return where.with_preprocessing(env, fitted)
        if not trained_on(env, run):
            raise InputError("it has no preprocessing.json")
    except InputError as error:
        on = "" if trained_on(env, run) else f" on the data of {suite.label}, which is not what it was trained on"
        raise InputError(f"{_run_and_place(run)} cannot be judged{on}: {error}") from error
    return env


# --- the pinned data -------------------------------------------------------------------------------


def data_sha256(env: EnvConfig) -> str | None:
    """SHA-256 of the data of an environment, as `data_sha256` of a suite pins it; None if it has none.

    Of one file as `sha256sum FILE` prints it; of several, of what `sha256sum FILES...` prints: the files of each key
    of the config in turn, those of a folder sorted by name. Of data without files, of its fingerprints.

    Raises:
        InputError: the data does not exist, or cannot be read.
    """
    where = domain(env.name)
    places = [Path(str(place)) for key in where.location_keys if (place := getattr(env, key)) is not None]
    files = sorted(where.data_files(env), key=lambda file: (_place_index(file, places), file))
    if not files:
        fingerprints = where.fingerprints(env)
        return _sha256(json.dumps(dict(fingerprints), sort_keys=True)) if fingerprints else None
    digests = list(_digests(files))
    if len(files) == 1:
        return digests[0]
    absolute = [os.path.abspath(file) for file in files]  # one place may be relative and another not
    folder = os.path.commonpath([os.path.dirname(file) for file in absolute])
    names = [os.path.relpath(file, folder) for file in absolute]
    return _sha256("".join(f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True)))


def _place_index(file: Path, places: Sequence[Path]) -> int:
    """Which of the places holds a file, so that a pin says which file is the test set."""
    return next((i for i, place in enumerate(places) if place in (file, *file.parents)), len(places))


def _digests(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        try:
            with open(file, "rb", opener=only_regular) as opened:
                yield hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{file} cannot be read ({failure(error)}): name the data with --rl-data") from error


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _require_pinned(suite: Suite, env: EnvConfig) -> None:
    pinned = suite.spec.data_sha256
    if pinned is None or suite.part != "test":  # the pin is of the test set
        return
    actual = data_sha256(env)
    if actual is None:
        raise InputError(
            f"{suite.label}: data_sha256: {env.name} draws its episodes from seeds and has no data: remove it"
        )
    if actual != pinned:
        named = getattr(env, PLACE, None)
        raise InputError(
            f"{suite.label}: the data{f' at {named}' if named else ''} has the SHA-256 {actual}, but data_sha256 pins "
            f"{pinned}: put the pinned data back, or pin this"
        )
