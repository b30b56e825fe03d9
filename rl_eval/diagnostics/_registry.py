"""What a diagnostic is, which ones there are, and what they find in a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rl_eval.diagnostics._finding import Finding, importance
from rl_eval.domains import DOMAINS, domain, domains
from rl_eval.errors import InputError, nearest
from rl_eval.registry import Registry

if TYPE_CHECKING:
    from rl_eval.diagnostics._diagnosed_run import DiagnosedRun

Findings = Finding | None | Sequence[Finding]
Question = Callable[["DiagnosedRun"], Findings]


@dataclass(frozen=True)
class Diagnostic:
    """A named question to a run; calling it answers.

    Attributes:
        name: as `diagnostic:` in a suite writes it.
        description: one line, shown by the docs.
        question: `run -> findings`; nothing where the run does not hold what it needs.
    """

    name: str
    description: str
    question: Question

    def __call__(self, run: DiagnosedRun) -> Findings:
        """What it finds, as `question` returns it."""
        return self.question(run)


DIAGNOSTICS: Registry[Diagnostic] = Registry("rl_eval.diagnostics", "a diagnostic", Diagnostic)


def diagnostic(question: Question) -> Diagnostic:
    """Make a diagnostic of the decorated function, whose name and first line of docstring become the diagnostic's.

    A diagnostic is asked once it is registered: `register`, `Domain.diagnostics`, or an entry point of
    `rl_eval.diagnostics`.
    """
    return Diagnostic(question.__name__, (question.__doc__ or "").strip().splitlines()[0], question)


def register(*diagnostics: Diagnostic) -> None:
    """Make diagnostics known by their names.

    Raises:
        InputError: another diagnostic has the name.
    """
    for entry in diagnostics:
        DIAGNOSTICS.register(entry.name, entry)


def list_diagnostics() -> list[Diagnostic]:
    """Every diagnostic, by name."""
    entries = [DIAGNOSTICS.get(name) for name in DIAGNOSTICS]
    entries += [entry for one in domains() for entry in one.diagnostics()]
    return sorted(entries, key=lambda entry: entry.name)


def lookup(name: str) -> Diagnostic:
    """The diagnostic of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    entries = {entry.name: entry for entry in list_diagnostics()}
    if name not in entries:
        raise InputError(
            f"{name!r} is not a diagnostic: {nearest(name, entries)}the diagnostics are {', '.join(entries)}"
        )
    return entries[name]


def findings_of(run: DiagnosedRun, name: str) -> list[Finding]:
    """What one diagnostic finds, most important first.

    Raises:
        InputError: there is no such diagnostic.
    """
    return _findings(lookup(name), run)


def all_findings(run: DiagnosedRun) -> list[Finding]:
    """What all diagnostics find that apply to the run, most important first."""
    entries = [DIAGNOSTICS.get(name) for name in DIAGNOSTICS]
    name = run.setting("env.name")
    if isinstance(name, str) and name in DOMAINS:
        entries += domain(name).diagnostics()
    findings = [finding for entry in sorted(entries, key=lambda e: e.name) for finding in _findings(entry, run)]
    return sorted(findings, key=importance)


def _findings(entry: Diagnostic, run: DiagnosedRun) -> list[Finding]:
    answer = entry(run)
    findings = [] if answer is None else [answer] if isinstance(answer, Finding) else list(answer)
    return sorted(findings, key=importance)
