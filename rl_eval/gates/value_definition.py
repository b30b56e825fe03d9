"""What defines the values that a verdict holds: values of two verdicts compare only where all of it is equal."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rl_eval import policy
from rl_eval.domains import domain
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.gates.suite import Suite


def value_definition(suite: Suite) -> dict[str, str]:
    """Key of the suite -> its value as JSON; for an environment of a person's own, also the digest of its code."""
    where = domain(suite.judged.name)
    left_out = {*where.location_keys, *where.execution_keys, *where.fitted_keys}
    fields = suite.judged.model_dump(mode="json", exclude=left_out)
    values = {f"env.{key}": json.dumps(value, sort_keys=True) for key, value in fields.items()}
    values["policy"] = suite.spec.policy
    for module in where.own_modules(suite.judged):
        values[f"the code of {module}"] = _code(module)
    for criterion in suite.criteria:
        if criterion.spec.missing is not None and criterion.compared is None:
            counted = [criterion.spec.missing, criterion.bounds, criterion.direction]
            values[f"criteria.{criterion.name}.missing"] = json.dumps(counted)
    return values


def _code(module: str) -> str:
    try:
        return policy.identity(f"python:{module}:") or "unknown"
    except (InputError, OSError):
        return "unknown"


def different_definition(before: Mapping[str, str], after: Mapping[str, str], criterion: str | None = None) -> str:
    """What differs, such as `env.success_return (28 and 60)`; empty if nothing does.

    Args:
        criterion: leave out what is only about others; None: compare all.
    """

    def concerns(key: str) -> bool:
        return criterion is None or not key.startswith("criteria.") or key == f"criteria.{criterion}.missing"

    keys = sorted(key for key in before.keys() | after.keys() if concerns(key) and before.get(key) != after.get(key))
    return ", ".join(key if key.startswith("the code") else f"{key} ({_pair(before, after, key)})" for key in keys)


def _pair(before: Mapping[str, str], after: Mapping[str, str], key: str) -> str:
    return " and ".join(brief(values.get(key, "none"), 60) for values in (before, after))
