"""Reward terms that are always zero, and one that outweighs the others."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.run import strip_prefix

# Shares of the sum of all magnitudes. At .98, the other terms together change the reward by a fiftieth.
DROWNS = 0.98
DROWNS_COMPLETELY = 0.995
MIN_ROWS = 3
MAX_NAMES = 6


@diagnostic
def unwired_reward(run: DiagnosedRun) -> Finding | None:
    """A reward term that was exactly zero in every row of metrics.csv.

    Reads `reward/<term>` of terms whose weight is not 0. A problem if it is the only term, else a warning.
    """
    terms = _terms(run)
    silent = [name for name, values in terms.items() if not np.any(values) and _weight(run, name) != 0]
    if not silent:
        return None
    everything = len(silent) == len(terms)
    names = ", ".join(silent[:MAX_NAMES])
    rows = len(next(iter(terms.values())))
    return Finding(
        name="unwired_reward",
        severity="problem" if everything else "warning",
        layer="reward",
        title="the reward is always zero" if everything else "a reward term is always zero",
        evidence=f"reward/{names} is 0 in all {rows} rows of metrics.csv",
        meaning="The agent never received it: the fact that it needs never happens or is not filled in"
        + ("." if not everything else ", or the reward is so rare that exploration never found it.")
        + " Print the outcome that the term uses for a few steps of random actions.",
        source="every logged mean exactly 0, with a weight other than 0",
        certainty=0.9,
        data={"terms": silent, "rows": rows},
    )


@diagnostic
def drowned_reward(run: DiagnosedRun) -> Finding | None:
    """One reward term is so large that the others have no influence.

    Reads the shares of the magnitudes of all terms over the rows of metrics.csv. A warning from .98, a problem from
    .995. The proposed weight makes the term as large as the others together.
    """
    terms = {name: values for name, values in _terms(run).items() if np.any(values)}
    if len(terms) < 2:
        return None
    share = shares(terms)
    name = max(share, key=lambda term: share[term])
    if share[name] < DROWNS:
        return None
    rest = 1 - share[name]
    weight = _weight(run, name)
    change = None
    if weight is not None:
        change = f"reward.terms.{name}.weight={_short(weight * rest / share[name])}"
    largest = sorted(share.items(), key=lambda item: -item[1])[:MAX_NAMES]
    text = ", ".join(f"{term} {100 * part:.3g} %" for term, part in largest)
    return Finding(
        name="drowned_reward",
        severity="problem" if share[name] >= DROWNS_COMPLETELY else "warning",
        layer="reward",
        title="one reward term outweighs the others",
        evidence=f"shares of the summed magnitudes: {text}",
        meaning=f"The agent optimises {name} only; the other terms are lost in its noise. The change makes it as "
        "large as the others together. Adjust the weights from there.",
        change=change,
        source="share of |weight x term|, averaged over the rows of metrics.csv: a warning from .98, a problem "
        "from .995",
        certainty=0.8,
        data={"shares": share},
    )


def shares(terms: dict[str, np.ndarray]) -> dict[str, float]:
    """The share of each term in the summed magnitudes, from its weighted mean in each row (`[rows]`)."""
    size = {name: float(np.abs(values).mean()) for name, values in terms.items()}
    total = sum(size.values())
    return {name: value / total for name, value in size.items()}


def _terms(run: DiagnosedRun) -> dict[str, np.ndarray]:
    """The logged terms, each `[rows]`, in rows where all are finite."""
    terms = strip_prefix(run.curves, "reward/")
    if not terms:
        return {}
    finite = np.isfinite(np.stack(list(terms.values()))).all(axis=0)
    return {name: values[finite] for name, values in terms.items()} if finite.sum() >= MIN_ROWS else {}


def _weight(run: DiagnosedRun, name: str) -> float | None:
    """The weight of a term; None if the config has no such term."""
    terms = run.setting("reward.terms")
    if not isinstance(terms, dict) or not isinstance(terms.get(name), dict):
        return None
    weight = terms[name].get("weight", 1.0)
    return float(weight) if isinstance(weight, int | float) and abs(weight) < 1e300 else None


def _short(value: float) -> str:
    return f"{value:.3g}"
