"""Terms of the reward that say nothing, and one that shouts the others down."""

from __future__ import annotations

import numpy as np

from rl_eval.diagnostics._diagnosed_run import DiagnosedRun
from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._registry import diagnostic

# Of the sum of all terms' magnitudes. With .98, the others together move the reward by a fiftieth.
DROWNS = 0.98
SILENCES = 0.995
FEWEST_ROWS = 3
SHOWN = 6


@diagnostic
def unwired_reward(run: DiagnosedRun) -> Finding | None:
    """A reward term that was exactly zero in every row of the training."""
    terms = _terms(run)
    silent = [name for name, values in terms.items() if not np.any(values) and _weight(run, name) != 0]
    if not silent:
        return None
    everything = len(silent) == len(terms)
    told = ", ".join(silent[:SHOWN])
    rows = len(next(iter(terms.values())))
    return Finding(
        name="unwired_reward",
        severity="problem" if everything else "warning",
        layer="reward",
        title="the reward is always zero" if everything else "a reward term is always zero",
        evidence=f"reward/{told} is 0 in all {rows} rows of metrics.csv",
        meaning="The agent was never paid by it: what it reads from the outcome never happens or is not filled in"
        + ("." if not everything else ", or the reward is so rare that chance never met it.")
        + " Print the outcome that the term reads for a few steps of random play.",
        source="every logged mean exactly 0, with a weight that is not",
        certainty=0.9,
        data={"terms": silent, "rows": rows},
    )


@diagnostic
def drowned_reward(run: DiagnosedRun) -> Finding | None:
    """One reward term so large that the others do not count."""
    terms = {name: values for name, values in _terms(run).items() if np.any(values)}
    if len(terms) < 2:
        return None
    share = shares(terms)
    name = max(share, key=lambda term: share[term])
    if share[name] < DROWNS:
        return None
    others = 1 - share[name]
    weight = _weight(run, name)
    change = None
    if weight is not None:
        change = f"reward.terms.{name}.weight={_short(weight * others / share[name])}"
    largest = sorted(share.items(), key=lambda item: -item[1])[:SHOWN]
    told = ", ".join(f"{term} {100 * part:.3g} %" for term, part in largest)
    return Finding(
        name="drowned_reward",
        severity="problem" if share[name] >= SILENCES else "warning",
        layer="reward",
        title="one reward term drowns the others",
        evidence=f"shares of the summed magnitudes: {told}",
        meaning=f"The agent optimises {name} alone; what the other terms ask for is lost in its noise. The change "
        "brings it to the size of the others together: weigh them as they matter from there.",
        change=change,
        source="share of |weight x term|, averaged over the rows of metrics.csv: a warning from .98 on, a problem from "
        ".995",
        certainty=0.8,
        data={"shares": share},
    )


def shares(terms: dict[str, np.ndarray]) -> dict[str, float]:
    """Each term's part of the summed magnitudes, of its mean in a row (`[rows]`, weighted)."""
    size = {name: float(np.abs(values).mean()) for name, values in terms.items()}
    total = sum(size.values())
    return {name: value / total for name, value in size.items()}


def _terms(run: DiagnosedRun) -> dict[str, np.ndarray]:
    """The logged terms, each `[rows]`, in rows where all are known."""
    named = {name[7:]: values for name, values in run.curves.items() if name.startswith("reward/")}
    if not named:
        return {}
    known = np.isfinite(np.stack(list(named.values()))).all(axis=0)
    return {name: values[known] for name, values in named.items()} if known.sum() >= FEWEST_ROWS else {}


def _weight(run: DiagnosedRun, name: str) -> float | None:
    """The weight of a term; None where the config does not know it."""
    terms = run.setting("reward.terms")
    if not isinstance(terms, dict) or not isinstance(terms.get(name), dict):
        return None
    weight = terms[name].get("weight", 1.0)
    return float(weight) if isinstance(weight, int | float) and abs(weight) < 1e300 else None


def _short(value: float) -> str:
    return f"{value:.3g}"
