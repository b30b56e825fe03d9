"""The suite of a run that no suite of a folder judges: the run compared with the baselines of its domain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rl_eval.domains import EnvConfig, domain, validate
from rl_eval.gates.suite import Suite, parse_suite

NAME = "baselines"


def baseline_suite(config: Mapping[str, Any]) -> Suite | None:
    """The suite; None if the domain has no baselines that say how good a policy is.

    Args:
        config: of the run.

    Raises:
        InputError: the environment of the run is not valid.
    """
    env = validate(config["env"])
    criteria = domain(env.name).default_criteria(env)
    if not criteria:
        return None
    return parse_suite(suite_text(env, criteria), Path(f"{NAME}.yaml"), f"the baselines of {env.name}")


def suite_text(env: EnvConfig, criteria: Mapping[str, Mapping[str, Any]]) -> str:
    """A suite as YAML that judges an environment, also where its cases have been seen: that is reported."""
    keys = env.model_dump(mode="json", exclude_defaults=True, exclude=set(domain(env.name).fitted_keys))
    values = {
        "rl_eval": 1,
        "env": {"name": env.name, **keys},
        "leaks": "report",
        "criteria": {name: dict(criterion) for name, criterion in criteria.items()},
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
