"""The command lines that train what a suite judges."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rl_eval.errors import InputError
from rl_eval.gates.schema import Suite

REPEATED_SEED = 42
_PLAIN = re.compile(r"[\w./:+-]+")
PLACE = "<folder or file of the data>"


def _value(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(_value(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_value(each)}' for key, each in value.items())}}}"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return str(value)


def _environment(suite: Suite, place: str | None) -> Iterator[str]:
    given = {} if isinstance(suite.spec.env, str) else dict(suite.spec.env)
    given.pop("name", None)
    yield f"env={suite.env.name}"
    for key, value in given.items():
        if isinstance(value, Mapping):
            yield from (f"++env.{key}.{inner}={_value(each)}" for inner, each in value.items())
        else:
            yield f"env.{key}={_value(value)}"
    if needs_path(suite):
        yield f"env.path={PLACE if place is None else _value(place)}"


def needs_path(suite: Suite) -> bool:
    """Whether training needs a place of data that the suite does not name."""
    if getattr(suite.env, "path", "none") is not None or "env.path" in suite.spec.train:
        return False
    from rl_eval.domains import domain

    try:
        domain(suite.env.name).fingerprints(suite.env)
    except InputError:
        return True
    return False


def train_arguments(suite: Suite, place: str | None = None) -> list[list[str]]:
    """The arguments of `python train.py`, a list a command, that train every run the suite needs.

    Args:
        place: of the data, for a suite that needs some and does not say where.
    """
    common = [*_environment(suite, place), *(f"{key}={_value(value)}" for key, value in suite.spec.train.items())]
    count = suite.spec.runs.count
    if count == 1:
        return [common]
    if suite.spec.runs.same_seed:
        seed = [] if "seed" in suite.spec.train else [f"seed={REPEATED_SEED}"]
        return [[*common, *seed]] * count
    return [[*common, "-m", f"seed={','.join(str(seed) for seed in range(1, count + 1))}"]]


def train_command(suite: Suite) -> str:
    """One line for a person to type."""
    commands = ["python train.py " + shlex.join(arguments) for arguments in train_arguments(suite)]
    return " && ".join(commands)
