"""Which diagnostics there are, and how all of them are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_eval.diagnostics._finding import Finding, importance
from rl_eval.errors import InputError, nearest

if TYPE_CHECKING:
    from rl_eval.diagnostics._reading import Reading

Found = Finding | None | Sequence[Finding]
Ask = Callable[["Reading"], Found]


@dataclass(frozen=True)
class Diagnostic:
    """A named question to a run.

    Attributes:
        name: as `diagnostic:` in a suite writes it.
        description: one line, shown by the docs.
        ask: `reading -> findings`; nothing where the run does not tell what it needs.
    """

    name: str
    description: str
    ask: Ask


_DIAGNOSTICS: dict[str, Diagnostic] = {}


def diagnostic(ask: Ask) -> Ask:
    """Register the decorated function; its name is the diagnostic's, its docstring's first line describes it."""
    described = (ask.__doc__ or "").strip().splitlines()[0]
    name = ask.__name__
    _DIAGNOSTICS[name] = Diagnostic(name, described, ask)
    return ask


def list_diagnostics() -> list[Diagnostic]:
    """Every diagnostic, by name."""
    return [_DIAGNOSTICS[name] for name in sorted(_DIAGNOSTICS)]


def lookup(name: str) -> Diagnostic:
    """The diagnostic of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name not in _DIAGNOSTICS:
        raise InputError(
            f"{name!r} is not a diagnostic: {nearest(name, _DIAGNOSTICS)}"
            f"the diagnostics are {', '.join(sorted(_DIAGNOSTICS))}"
        )
    return _DIAGNOSTICS[name]


def ask(reading: Reading, name: str) -> list[Finding]:
    """What one diagnostic finds, most important first.

    Raises:
        InputError: there is no such diagnostic.
    """
    found = lookup(name).ask(reading)
    findings = [] if found is None else [found] if isinstance(found, Finding) else list(found)
    return sorted(findings, key=importance)


def examine(reading: Reading) -> list[Finding]:
    """What all diagnostics find, most important first."""
    return sorted((finding for each in list_diagnostics() for finding in ask(reading, each.name)), key=importance)
