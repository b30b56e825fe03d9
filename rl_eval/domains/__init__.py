"""The applied systems an agent can be trained and judged on, one folder per domain."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rl_eval.domains.base import Domain, EnvConfig, Part, RawField
from rl_eval.errors import InputError, failure, nearest
from rl_eval.formatting import brief
from rl_eval.registry import Registry

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv

__all__ = [
    "DEFAULT",
    "DOMAINS",
    "Domain",
    "EnvConfig",
    "Part",
    "RawField",
    "config_class",
    "contributions",
    "domain",
    "domains",
    "identity",
    "make",
    "needs_trust",
    "register",
    "validate",
    "with_fitted_keys",
]  # fmt: skip

Entry = TypeVar("Entry")
DOMAINS: Registry[Domain[Any]] = Registry("rl_eval.domains", "a domain", Domain, "name")
DEFAULT = "gym"  # of an environment that names a Gymnasium id and nothing else


def register(domain: Domain[Any]) -> Domain[Any]:
    """Add a domain, as a plugin does; an installed package has an entry point instead.

    Raises:
        InputError: another domain has its name.
    """
    return DOMAINS.register_named(domain)


def domain(name: str) -> Domain[Any]:
    """The domain of that name.

    Raises:
        InputError: there is none.
    """
    if name not in DOMAINS:
        raise InputError(
            f"env={brief(repr(name), 80)} is not an environment: {nearest(name, DOMAINS)}the environments are "
            f"{', '.join(DOMAINS)}; any Gymnasium id goes through env={DEFAULT} env.id=..."
        )
    return DOMAINS.get(name)


def domains() -> list[Domain[Any]]:
    """Every domain that can be loaded here; a warning for each of the others."""
    return DOMAINS.available()


def contributions(part: str, entry_type: type[Entry]) -> list[Entry]:
    """What the domains add to a registry; a warning for a domain that fails or adds something else.

    Args:
        part: `metrics` or `diagnostics`, the method of `Domain`.
    """
    added: list[Entry] = []
    for domain in domains():
        try:
            own = list(getattr(domain, part)())
            wrong = [entry for entry in own if not isinstance(entry, entry_type)]
            reason = f"{type(wrong[0]).__name__} is not {entry_type.__name__}" if wrong else None
        except Exception as error:  # foreign code raises anything
            own, reason = [], failure(error)
        if reason is None:
            added += own
        else:
            warnings.warn(f"the {part} of the domain {domain.name!r} are ignored: {reason}", stacklevel=3)
    return added


def config_class(values: Mapping[str, Any]) -> type[EnvConfig]:
    """The model that describes an environment, by its `name`.

    Raises:
        InputError: unknown environment.
    """
    return domain(str(values.get("name", DEFAULT))).config_model


def validate(values: Mapping[str, Any]) -> EnvConfig:
    """The checked config of an environment, from a mapping with `name` and any of its keys.

    Raises:
        InputError: unknown environment.
        pydantic.ValidationError: a key or value that the environment does not have.
    """
    return config_class(values).model_validate(dict(values))


def identity(config: EnvConfig) -> dict[str, Any]:
    """The identity of an environment as JSON values, without data paths, stepping options and fitted values."""
    where = domain(config.name)
    left_out = {*where.location_keys, *where.execution_keys, *where.fitted_keys}
    fields = type(config).model_fields
    left_out |= {key for key in where.optional_keys if getattr(config, key) == fields[key].default}
    return config.model_dump(mode="json", exclude=left_out)


def with_fitted_keys(config: EnvConfig, trained: EnvConfig) -> EnvConfig:
    """An environment with the observations that a policy was trained on.

    Args:
        config: where the policy will play.
        trained: the environment of its run, of the same domain.
    """
    return config.model_copy(update={key: getattr(trained, key) for key in domain(config.name).fitted_keys})


def needs_trust(config: EnvConfig) -> str | None:
    """Why a config from somebody else needs trust, as the beginning of a sentence; None if it does not."""
    return domain(config.name).needs_trust(config)


def make(config: EnvConfig, *, n_envs: int, part: Part, autoreset: bool = True) -> VectorEnv:
    """N copies of an environment, stepped as one, over one part of its data; see `Domain.make`."""
    return domain(config.name).make(config, n_envs=n_envs, part=part, autoreset=autoreset)
