"""The command lines that train what a suite judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.gates.suite import Suite
from rl_eval.override_text import override, training_command

REPEATED_SEED = 42
DATA_PLACEHOLDER = "<folder or file of the data>"


def _environment(suite: Suite, data: str | None) -> Iterator[str]:
    overrides = {} if isinstance(suite.spec.env, str) else dict(suite.spec.env)
    overrides.pop("name", None)
    yield f"env={suite.env.name}"
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            yield from (override(f"++env.{key}.{inner}", item) for inner, item in value.items())
        else:
            yield override(f"env.{key}", value)
    if needs_path(suite):
        yield f"env.path={DATA_PLACEHOLDER}" if data is None else override("env.path", data)


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
    common = [*_environment(suite, data), *(override(key, value) for key, value in suite.spec.train.items())]
    count = suite.spec.runs.count
    if count == 1:
        return [common]
    if suite.spec.runs.same_seed:
        seed = [] if "seed" in suite.spec.train else [f"seed={REPEATED_SEED}"]
        return [[*common, *seed]] * count
    return [[*common, "-m", f"seed={','.join(str(seed) for seed in range(1, count + 1))}"]]


def train_command(suite: Suite) -> str:
    """One line for a person to type."""
    return " && ".join(map(training_command, train_arguments(suite)))
