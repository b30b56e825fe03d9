"""Fields of the data that say nothing: left out, or the same in every case of the training part."""

from __future__ import annotations

from collections.abc import Collection

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.domains import DOMAINS, domain
from rl_eval.domains.base import SilentFeatures
from rl_eval.formatting import brief

MANY = 0.5  # of the fields
MAX_NAMES = 12
MAX_NAME = 100


@diagnostic
def silent_features(run: DiagnosedRun) -> Finding | None:
    """Fields of the data that no policy can learn from, as they are the same in all of training, or are left out.

    Reads the preprocessing record of the run, so the data is not needed.
    """
    silent = _of(run)
    if silent is None or not silent.reasons:
        return None
    by_reason: dict[str, list[str]] = {}
    for field, reason in silent.reasons.items():
        by_reason.setdefault(reason, []).append(brief(field, MAX_NAME))
    parts = [
        f"{', '.join(names[:MAX_NAMES])}{f' and {len(names) - MAX_NAMES} more' if len(names) > MAX_NAMES else ''} "
        f"({brief(reason, MAX_NAME)})"
        for reason, names in by_reason.items()
    ]
    return Finding(
        name="silent_features",
        severity="warning" if len(silent.reasons) > MANY * silent.fields else "note",
        layer="data",
        title="fields of the data say nothing",
        evidence=f"{len(silent.reasons)} of {silent.fields} are not observed, or never differ in training: "
        f"{'; '.join(parts)}",
        meaning=f"No agent can learn from them.{f' {silent.advice}' if silent.advice else ''}",
        source="preprocessing.json; a warning above half of the fields",
        certainty=0.95,
        data={"silent": dict(silent.reasons), "fields": silent.fields},
    )


def silent_features_of(run: DiagnosedRun) -> Collection[str]:
    """The names of the silent fields of a run."""
    silent = _of(run)
    return () if silent is None else silent.reasons


def _of(run: DiagnosedRun) -> SilentFeatures | None:
    name = run.setting("env.name")
    return domain(name).silent_features(run.preprocessing) if isinstance(name, str) and name in DOMAINS else None
