"""The agents that can be trained: the registry of `agents`, which a checkout holds and the installed package does not.

This is the only module that names `agents`. What an entry offers is described at `agents.register`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.errors import InputError, nearest


def agents() -> Mapping[str, Any]:
    """Every agent by name.

    Raises:
        InputError: the package is not here.
    """
    try:
        return importlib.import_module("agents").AGENTS
    except (ImportError, AttributeError) as error:  # a package of somebody else has no AGENTS
        raise InputError(f"agents are only in a checkout of this project ({error}): run this there") from error


def agent(name: Any) -> Any:
    """The agent of that name.

    Raises:
        InputError: there is none, or the package is not here.
    """
    registered = agents()
    if not isinstance(name, str) or name not in registered:
        raise InputError(
            f"agent={name!r} is not an agent: {nearest(str(name), registered)}choose {' or '.join(registered)}"
        )
    return registered[name]


def ranks() -> Any:
    """This process among those that train an agent together, once torch has joined them; see `agents.ranks.Ranks`."""
    return importlib.import_module("agents.ranks").Ranks()


def seeds(agents: Sequence[Any]) -> Any:
    """Agents that differ in their seeds, to be trained in step; see `agents.seeds.Seeds`."""
    return importlib.import_module("agents.seeds").Seeds(agents)


def added_agents() -> list[str]:
    """The agents and the network bodies that other code registered, whose sources are not those of `agents`.

    Nothing is imported: what has not been imported has nothing added.
    """
    package = sys.modules.get("agents")
    registered: Mapping[str, Any] = getattr(package, "AGENTS", {})
    bodies: Mapping[str, Any] = getattr(package, "BODIES", {})
    return [*(name for name, entry in registered.items() if not _is_built_in(entry)), *bodies]


def _is_built_in(entry: Any) -> bool:
    targets = (entry.config_target, entry.agent_target, entry.policy_target)
    return all(isinstance(target, str) and target.startswith("agents.") for target in targets)
