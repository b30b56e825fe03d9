"""The command lines that train what a suite judges."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.gates.suite import Suite

REPEATED_SEED = 42
_PLAIN = re.compile(r"[\w./:+-]+")
DATA_PLACEHOLDER = "<folder or file of the data>"


def _value(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return str(value)


def _environment(suite: Suite, data: str | None) -> Iterator[str]:
    overrides = {} if isinstance(suite.spec.env, str) else dict(suite.spec.env)
    overrides.pop("name", None)
    yield f"env={suite.env.name}"
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            yield from (f"++env.{key}.{inner}={_value(item)}" for inner, item in value.items())
        else:
            yield f"env.{key}={_value(value)}"
    if needs_path(suite):
        yield f"env.path={DATA_PLACEHOLDER if data is None else _value(data)}"


def needs_path(suite: Suite) -> bool:
    """Whether training needs data whose place the suite does not name."""
    if getattr(suite.env, "path", "none") is not None or "env.path" in suite.spec.train:
        return False
    try:
        domain(suite.env.name).fingerprints(suite.env)
    except InputError:
        return True
    return False


def train_arguments(suite: Suite, data: str | None = None) -> list[list[str]]:
    """The arguments of `python train.py`, a list a command, that train every run the suite needs.

    Args:
        data: its folder or file, for a suite that needs data and names none.
    """
    common = [*_environment(suite, data), *(f"{key}={_value(value)}" for key, value in suite.spec.train.items())]
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
