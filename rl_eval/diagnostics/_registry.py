"""`Diagnostic`, the registry of diagnostics, and running them on a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding, importance
from rl_eval.domains import DOMAINS, contributions, domain
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.registry import Registry

Findings = Finding | None | Sequence[Finding]
Check = Callable[[DiagnosedRun], Findings]


@dataclass(frozen=True)
class Diagnostic:
    """A named check of a run.

    Attributes:
        name: as in `diagnostic: <name>` of a suite.
        description: one line, shown by the docs.
        check: `run -> findings`; no finding if the run lacks what it needs.
    """

    name: str
    description: str
    check: Check

    def __call__(self, run: DiagnosedRun) -> Findings:
        """The findings, as `check` returns them."""
        return self.check(run)


DIAGNOSTICS: Registry[Diagnostic] = Registry("rl_eval.diagnostics", "a diagnostic", Diagnostic, "name")


def diagnostic(check: Check) -> Diagnostic:
    """Make a diagnostic of the decorated function, with its name and the first line of its docstring.

    A diagnostic runs once it is registered: by `register`, `Domain.diagnostics`, or an entry point of
    `rl_eval.diagnostics`.
    """
    return Diagnostic(check.__name__, (check.__doc__ or "").strip().splitlines()[0], check)


def register(*diagnostics: Diagnostic) -> None:
    """Register diagnostics by their names.

    Raises:
        InputError: another diagnostic has that name.
    """
    for entry in diagnostics:
        DIAGNOSTICS.register_named(entry)


def list_diagnostics() -> list[Diagnostic]:
    """Every diagnostic, by name."""
    entries = DIAGNOSTICS.available()
    entries += contributions("diagnostics", Diagnostic)
    return sorted(entries, key=lambda entry: entry.name)


def lookup(name: str) -> Diagnostic:
    """The diagnostic with that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    entries = {entry.name: entry for entry in list_diagnostics()}
    if name not in entries:
        raise InputError(
            f"{brief(repr(name), 80)} is not a diagnostic: {nearest(name, entries)}"
            f"the diagnostics are {', '.join(entries)}"
        )
    return entries[name]


def findings_of(run: DiagnosedRun, name: str) -> list[Finding]:
    """The findings of one diagnostic, most important first.

    Raises:
        InputError: there is no such diagnostic.
    """
    return _findings(lookup(name), run)


def all_findings(run: DiagnosedRun) -> list[Finding]:
    """The findings of all diagnostics that apply to the run, most important first."""
    entries = DIAGNOSTICS.available()
    name = run.setting("env.name")
    if isinstance(name, str) and name in DOMAINS:
        entries += domain(name).diagnostics()
    findings = [finding for entry in sorted(entries, key=lambda e: e.name) for finding in _findings(entry, run)]
    return sorted(findings, key=importance)


def _findings(entry: Diagnostic, run: DiagnosedRun) -> list[Finding]:
    result = entry(run)
    findings = [] if result is None else [result] if isinstance(result, Finding) else list(result)
    return sorted(findings, key=importance)
