"""Verdicts that need not be reached twice: what one depends on, hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from rl_eval.errors import InputError

if TYPE_CHECKING:
    from rl_eval.gates import Selection, Suite


def key_of(suite: Suite, selection: Selection) -> str | None:
    """What a verdict depends on, hashed; None where some of it cannot be (code or servers of somebody else's)."""
    from rl_eval import policy
    from rl_eval.domains import domain, needs_trust
    from rl_eval.gates import cache
    from rl_eval.gates.arena import environment_to_judge
    from rl_eval.run import Run

    if needs_trust(suite.judged) or suite.spec.plugins:  # code that no hash here covers
        return None
    try:
        others = {"code": _code(), **{name: version(name) for name in ("gymnasium", "numpy", "torch")}}
        for spec in _policies_of(suite, selection):
            fingerprint = None if policy.runs_other_code(spec) else policy.identity(spec)
            if fingerprint is None:
                return None
            others[f"policy {spec}"] = fingerprint
        runs = [each for each in selection.runs if isinstance(each, Run)]
        if any(run.config.get("plugins") for run in runs):
            return None
        env = environment_to_judge(suite, runs[0]) if runs else suite.judged
        return cache.key(
            runs=[cache.run_fingerprint(run) for run in runs],
            suite=suite.path.read_text(encoding="utf-8"),
            gate_seed=suite.gate_seed,
            data=domain(env.name).fingerprints(env),
            # a control may be judged as well: which policies are, and in what order, is no matter of their bytes
            others={
                **others,
                "named": suite.shown,
                "judged": " ".join(str(each.path) for each in selection.runs),
                "too few": str(selection.too_few),
            },
        )
    except (InputError, OSError, PackageNotFoundError):  # judging says what is wrong
        return None


def key_of_run(run: str) -> str | None:
    """What doctor's findings on a run depend on, hashed; None where that cannot be."""
    from rl_eval.gates import cache
    from rl_eval.run import read_run

    try:
        fingerprint = cache.run_fingerprint(read_run(run))
    except (InputError, OSError):
        return None
    return cache.key(runs=[fingerprint], suite="", gate_seed=0, data={}, others={"code": _code(), "of": "doctor"})


def _policies_of(suite: Suite, selection: Selection) -> Iterator[str]:
    from rl_eval.run import Run

    yield from (each.path for each in selection.runs if not isinstance(each, Run))
    yield from suite.spec.controls
    for criterion in suite.criteria:
        yield from criterion.spec.better_than or ()
    if suite.spec.attainable:
        yield suite.spec.attainable


@once
def _code() -> str:
    """The package's own sources: in a checkout they change while the version stays."""
    import rl_eval

    digest = hashlib.sha256()
    root = Path(str(rl_eval.__file__)).parent
    for folder in (root, root.parent / "agents"):  # in a checkout, the agents act when a run is judged
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(root.parent)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
