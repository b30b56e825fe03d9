"""The key of a cached verdict: a hash of everything that the verdict depends on."""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Iterator
from importlib.metadata import distributions, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import rl_eval
from rl_eval.agent_registry import added_agents
from rl_eval.errors import InputError

if TYPE_CHECKING:
    import pytest

    from rl_eval.gates import Selection, Suite

_EXTENSION_GROUPS = ("rl_eval.domains", "rl_eval.metrics", "rl_eval.policies", "rl_eval.diagnostics")


def verdict_key(suite: Suite, selection: Selection, trust: bool = False) -> str | None:
    """The key of a suite's verdict; None if some of it cannot be hashed (code or servers from elsewhere).

    Args:
        trust: whether policies that need trust may be played: their verdicts are for those who trust them.
    """
    from rl_eval import policy
    from rl_eval.domains import domain, needs_trust
    from rl_eval.gates import verdict_cache
    from rl_eval.gates.suite_data import data_sha256, environment_of_policy, environment_to_judge
    from rl_eval.run import Run

    if needs_trust(suite.judged) or suite.spec.plugins or _has_extensions():
        return None
    try:
        extra = {"code": _code(), "packages": _packages()}
        for spec in _policies_of(suite, selection):
            identity = policy.identity(spec) if policy.is_cacheable(spec) else None
            if identity is None:
                return None
            extra[f"policy {spec}"] = identity
        runs = [judged for judged in selection.runs if isinstance(judged, Run)]
        if any(run.config.get("plugins") for run in runs):
            return None
        env = (
            environment_to_judge(suite, runs[0]) if runs else environment_of_policy(suite, str(selection.runs[0].path))
        )
        registration = domain(env.name).code_identity(env)
        if registration is None:
            return None
        return verdict_cache.key(
            runs=[verdict_cache.run_fingerprint(run) for run in runs],
            suite=suite.text,
            gate_seed=suite.gate_seed,
            data=domain(env.name).fingerprints(env),
            # the verdict depends on which policies are judged, and in what order, not only on their bytes
            extra={
                **extra,
                "shown": suite.label,
                "part": suite.part,
                "trust": str(trust),
                "registration": registration,
                "environment": env.model_dump_json(),
                "files": data_sha256(env) or "",  # with the order of rows: cases are played in it
                "judged": " ".join(str(judged.path) for judged in selection.runs),
                "too few": str(selection.too_few),
                "release": suite.release_key,
            },
        )
    except (InputError, OSError):  # judging reports what is wrong
        return None


def _has_extensions() -> bool:
    """Whether other code adds domains, metrics, policies, diagnostics or agents: code that no hash here covers."""
    from rl_eval.diagnostics import DIAGNOSTICS
    from rl_eval.domains import DOMAINS
    from rl_eval.metrics import METRICS
    from rl_eval.policy import SOURCES

    # a conftest.py, or what it imports, registers at run time; an installed package has entry points
    return (
        any(registry.added for registry in (DOMAINS, METRICS, SOURCES, DIAGNOSTICS))
        or bool(added_agents())
        or any(
            not point.value.startswith("rl_eval.") for group in _EXTENSION_GROUPS for point in entry_points(group=group)
        )
    )


def has_local_plugin(config: pytest.Config) -> bool:
    """Whether a conftest.py, or a plugin that is not installed, was loaded: it can change whatever is judged."""
    files = [getattr(plugin, "__file__", None) for plugin in config.pluginmanager.get_plugins()]
    installed, own = ("site-packages", "dist-packages"), Path(str(rl_eval.__file__)).parent
    return any(
        Path(file).name == "conftest.py" or not (set(installed) & {*Path(file).parts} or Path(file).is_relative_to(own))
        for file in files
        if file
    )


def findings_key(run: str) -> str | None:
    """The key of doctor's findings on a run; None if it cannot be computed."""
    from rl_eval.gates import verdict_cache
    from rl_eval.run import read_run

    if _has_extensions():
        return None
    try:
        fingerprint = verdict_cache.run_fingerprint(read_run(run))
    except (InputError, OSError):
        return None
    extra = {"code": _code(), "packages": _packages(), "of": "doctor"}
    return verdict_cache.key(runs=[fingerprint], suite="", gate_seed=0, data={}, extra=extra)


def _policies_of(suite: Suite, selection: Selection) -> Iterator[str]:
    from rl_eval.run import Run

    yield from (judged.path for judged in selection.runs if not isinstance(judged, Run))
    yield from suite.spec.controls
    for criterion in suite.criteria:
        if criterion.compared is None or criterion.compared.played is None:
            yield from criterion.spec.better_than or ()
    if suite.spec.attainable:
        yield suite.spec.attainable


@functools.cache
def _packages() -> str:
    """Python's version, and version and hashes of files of every package: any of them can change how something acts."""
    packages = set()
    for package in distributions():
        record = package.read_text("RECORD") or ""  # with the SHA-256 of each file, where pip installed it
        packages.add(f"{package.name} {package.version} {hashlib.sha256(record.encode()).hexdigest()}")
    return "\n".join([platform.python_version(), *sorted(packages)])


@functools.cache
def _code() -> str:
    """The package's own sources: in a checkout they change while the version stays."""
    digest = hashlib.sha256()
    root = Path(str(rl_eval.__file__)).parent
    for folder in (root, root.parent / "agents"):  # in a checkout, the agents act when a run is judged
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(root.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
