"""Versions of the registry as runs on this machine, each byte checked."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rl_eval import domains
from rl_eval.domains import RawField
from rl_eval.errors import InputError
from rl_eval.production.canary.row import Row
from rl_eval.production.parts import Parts
from rl_eval.production.registered_policy import require_features
from rl_eval.production.registry import CHALLENGER, CHAMPION, Lineage, Version
from rl_eval.production.store import UnavailableError
from rl_eval.production.watch.observed import Observed
from rl_eval.run import Run, environment_of, read_preprocessing, read_run
from rl_eval.serving import source as sources
from rl_eval.serving.source import Source

KEPT = 8  # copies of versions on this machine


def local_run(parts: Parts, number: int) -> Run:
    """A version as a run directory; it is copied from the registry where it is not here yet.

    Raises:
        InputError: the version was changed, is not a run, or the registry is away.
    """
    folder = parts.folder / "versions"
    directory = folder / f"{number:06d}"
    version = parts.registry.version(number)
    digest = directory.with_suffix(".digest")
    if directory.exists() and (not digest.is_file() or digest.read_text() != version.digest):
        shutil.rmtree(directory)  # of another registry, or cut off
    if not directory.exists():
        parts.registry.load(number, directory)
        digest.write_text(version.digest)
        _forget(folder, keep={number, *parts.registry.aliases().values()})
    return read_run(directory)


def _forget(folder: Path, keep: set[int]) -> None:
    copies = sorted(path for path in folder.iterdir() if path.name.isdigit() and int(path.name) not in keep)
    for path in copies[:-KEPT]:
        path.with_suffix(".digest").unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)


def load_source(parts: Parts, run: Run) -> Source:
    """A run as a policy that serves and learns.

    Raises:
        InputError: it is damaged, or cannot be served here.
    """
    return sources.load(str(run.path.resolve()), seed=0, trust=parts.config.serve.trust)


def champion_number(parts: Parts) -> int:
    """The number of the champion.

    Raises:
        InputError: there is none, or the registry is away.
    """
    number = parts.registry.aliases().get(CHAMPION)
    if number is None:
        raise InputError(f"{parts.registry.label} has no champion: `rl-eval production register CONFIG RUN` makes one")
    return number


def champion_of(parts: Parts) -> tuple[int, Run, Source]:
    """The number, run and policy of the champion.

    Raises:
        InputError: there is none, it was changed, or the registry is away.
    """
    number = champion_number(parts)
    run = local_run(parts, number)
    return number, run, load_source(parts, run)


def register(
    parts: Parts, what: str, actor: str, alias: str | None = None, reason: str = ""
) -> tuple[Version, str | None]:
    """Register a run, or give an alias to a version of the registry, such as one that its proof held back.

    Args:
        what: a run directory, or the number of a version, which needs a reason.
        alias: `champion` or `challenger`; None: the champion where there is none, else the challenger. A run gets none
            where there are both.
        reason: it is logged.

    Returns:
        The version, and the alias that it got.

    Raises:
        InputError: it is neither a run nor a version, observes another width than the champion, or is the same policy;
            an alias is taken; or the registry or the audit log cannot be written.
    """
    if what.isdecimal() and not Path(what).exists():
        return _register_version(parts, int(what), actor, alias, reason)
    return register_run(parts, Path(what), actor, alias, reason)


def register_run(
    parts: Parts, path: Path, actor: str, alias: str | None = None, reason: str = ""
) -> tuple[Version, str | None]:
    """The part of `register` that is about a run."""
    source = sources.load(str(path.resolve()), seed=0, trust=parts.config.serve.trust)
    aliases = parts.registry.aliases()
    if alias is not None or CHAMPION not in aliases or CHALLENGER not in aliases:
        alias = _alias_for(parts, source, aliases, alias)
    elif CHAMPION in aliases:
        require_features(parts.config, source)
        require_same_spaces(source, load_source(parts, local_run(parts, aliases[CHAMPION])))
    lineage = Lineage(data="", verdict={"reasons": ["registered by a person"]}, policy=source.policy.version)
    version = parts.registry.register(path, lineage)
    _give(parts, version, actor, alias, reason)
    return version, alias


def _register_version(
    parts: Parts, number: int, actor: str, alias: str | None, reason: str
) -> tuple[Version, str | None]:
    if not reason.strip():
        raise InputError(f"version {number} is registered already: to give it an alias, add --reason '...'")
    version, aliases = parts.registry.version(number), parts.registry.aliases()
    if number in aliases.values():
        held = next(name for name, held in aliases.items() if held == number)
        raise InputError(f"version {number} is the {held} already: name another one")
    alias = _alias_for(parts, load_source(parts, local_run(parts, number)), aliases, alias)
    _give(parts, version, actor, alias, reason)
    return version, alias


def _alias_for(parts: Parts, source: Source, aliases: Mapping[str, int], asked: str | None) -> str:
    """The alias that a policy gets.

    Raises:
        InputError: another version has it, or the policy fits neither the config nor the champion.
    """
    require_features(parts.config, source)
    if CHAMPION in aliases:
        _require_no_pin(parts)
    champion, challenger = aliases.get(CHAMPION), aliases.get(CHALLENGER)
    wanted = asked or (CHAMPION if champion is None else CHALLENGER)
    if wanted == CHAMPION and champion is None:
        return CHAMPION
    if wanted == CHAMPION:
        raise InputError(
            f"version {champion} is the champion and serves: register this one with --as challenger, or replace the "
            "champion at once by `rl-eval production promote CONFIG --reason ...` after that"
        )
    if challenger is not None:
        raise InputError(f"version {challenger} is the challenger: wait for its roll-out, or `abort` it first")
    if champion is None:
        return CHALLENGER
    serving = load_source(parts, local_run(parts, champion))
    require_same_spaces(source, serving)
    if source.policy.version == serving.policy.version:
        raise InputError(f"{source.name} is the same policy as version {champion}, the champion: register another one")
    return CHALLENGER


def _require_no_pin(parts: Parts) -> None:
    """Refuse a challenger while a version is pinned: control loops take its alias away.

    Raises:
        InputError: one is.
    """
    try:
        row = Row.parse(parts.store.document().body)
    except UnavailableError:  # or not there yet: a loop that finds a pin says what it undoes
        return
    if row.state == "pinned":
        raise InputError(
            f"version {row.target} is pinned ({row.reason}), so no other one is rolled out: run "
            "`rl-eval production resume CONFIG --reason ...` first"
        )


def _give(parts: Parts, version: Version, actor: str, alias: str | None, reason: str) -> None:
    """Log a registration, and set the alias if nobody has set it meanwhile."""
    facts = {"version": version.number, "policy": version.lineage.policy, "alias": alias, "reason": reason.strip()}
    parts.audit.append("registered", actor, facts)
    if alias is not None:
        parts.registry.move({alias: version.number}, {alias: None})


def require_same_spaces(candidate: Source, champion: Source) -> None:
    """Refuse a candidate that observes or acts otherwise than the champion.

    Raises:
        InputError: it does.
    """
    new, old = candidate.policy.spaces, champion.policy.spaces
    for name, one, other in (("observes", new.observation, old.observation), ("acts in", new.action, old.action)):
        if one.shape != other.shape or type(one) is not type(other) or getattr(one, "n", 0) != getattr(other, "n", 0):
            raise InputError(
                f"{candidate.name} {name} {one}, and the champion {other}: servers cannot exchange them, so register "
                "it under another `name`"
            )


def feature_names(parts: Parts, run: Run) -> list[str]:
    """The names of an observation's numbers: of the config, else as the run's preprocessing names its columns.

    Raises:
        InputError: the run is damaged.
    """
    if parts.config.quality.features:
        return list(parts.config.quality.features)
    fitted = read_preprocessing(run) or {}
    return [str(name) for name in fitted.get("columns", fitted.get("features", ()))]


def champion_observed(parts: Parts) -> Observed:
    """How observations of the champion are shown.

    Raises:
        InputError: there is no champion, it was changed, or the registry is away.
    """
    run = local_run(parts, champion_number(parts))
    fitted, names = read_preprocessing(run), feature_names(parts, run)
    numbers = {name: number for number, name in enumerate(parts.config.quality.features)}
    rules = {
        numbers[name] if name in numbers else int(name): rule.action
        for name, rule in parts.config.privacy.features.items()
    }
    if fitted is None:
        return Observed(names, rules=rules)

    def raw(observation: Sequence[float]) -> Sequence[RawField] | None:
        with contextlib.suppress(InputError):  # its environment is not here, or its preprocessing is damaged
            domain = domains.domain(environment_of(run).name)
            return domain.raw_fields(fitted, np.asarray(observation, np.float32))
        return None

    return Observed(names, raw, True, rules)


def action_names(parts: Parts) -> list[str]:
    """The names of the champion's actions; empty where they have none.

    Raises:
        InputError: there is no champion, or the registry is away.
    """
    return champion_of(parts)[2].action_names
