"""The command lines that train what a suite judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rl_eval.gates.suite import Suite
from rl_eval.gates.suite_data import PLACE, needs_data
from rl_eval.override_text import override, training_command

REPEATED_SEED = 42
DATA_PLACEHOLDER = "<folder or file of the data>"


def _environment(suite: Suite) -> Iterator[str]:
    overrides = {} if isinstance(suite.spec.env, str) else dict(suite.spec.env)
    overrides.pop("name", None)
    if overrides.get(PLACE) is None:
        overrides.pop(PLACE, None)
    yield f"env={suite.env.name}"
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            yield from (override(f"++env.{key}.{inner}", item) for inner, item in value.items())
        else:
            yield override(f"env.{key}", value)
    if PLACE in overrides or "env.path" in suite.spec.train:
        return
    if (place := getattr(suite.env, PLACE, None)) is not None:
        yield override("env.path", place)
    elif needs_path(suite):
        yield f"env.path={DATA_PLACEHOLDER}"


def needs_path(suite: Suite) -> bool:
    """Whether training needs data whose place the suite does not name."""
    return "env.path" not in suite.spec.train and needs_data(suite.env)


def train_arguments(suite: Suite) -> list[list[str]]:
    """The arguments of `python train.py`, a list per command, that train every run the suite needs."""
    common = [*_environment(suite), *(override(key, value) for key, value in suite.spec.train.items())]
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
