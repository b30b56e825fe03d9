"""Which suites of a folder judge a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rl_eval.domains import identity, validate
from rl_eval.errors import InputError
from rl_eval.formatting import short_path
from rl_eval.gates.suite import Suite, is_for_other_environment, load_suite
from rl_eval.gates.yaml_document import MAX_BYTES
from rl_eval.run import Run
from rl_eval.untrusted_files import only_regular


def matches_environment(suite: Suite, values: Mapping[str, Any]) -> bool:
    """Whether an `env:` section describes the environment of a suite, with its data in any place."""
    try:
        return identity(validate(values)) == identity(suite.env)
    except (ValidationError, InputError):
        return False


def suites_for(run: Run | Mapping[str, Any], folder: Path | str = "suites") -> list[Suite]:
    """The suites in a folder whose environment is that of a run, by name.

    If one of them names the run's agent in `train:`, those that name another agent are skipped. If none does, all of
    them judge: an agent without a suite of its own must pass those of the others.

    Args:
        run: a run, or the config of one that is yet to be trained.

    Raises:
        InputError: a suite is broken, or names plugins that the run does not.
    """
    config = run.config if isinstance(run, Run) else run
    files = [(path, str(short_path(path))) for path in sorted(Path(folder).glob("*.y*ml")) if is_suite_file(path)]
    name = str(config["env"].get("name"))
    suites = [load_suite(path, label) for path, label in files if not is_for_other_environment(path, label, name)]
    matching = [suite for suite in suites if matches_environment(suite, config["env"])]
    agent = config["agent"]["name"]
    if any(suite.spec.train.get("agent") == agent for suite in matching):
        matching = [suite for suite in matching if suite.spec.train.get("agent", agent) == agent]
    return matching


def is_suite_file(path: Path) -> bool:
    """Whether a YAML file has `rl_eval:` at its top level, without parsing it."""
    try:
        with open(path, encoding="utf-8", errors="replace", opener=only_regular) as file:
            lines = file.read(MAX_BYTES).splitlines()
    except OSError:
        return False
    return any(line.startswith(("rl_eval:", "rl_eval :", '"rl_eval"', "'rl_eval'")) for line in lines)
