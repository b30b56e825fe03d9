"""The embedded data: a project whose history was simulated, so that the probability of each failure is known too.

A cycle tests a build. A build changes a few components, or none. A change breaks cases of its component, each with the
probability that its fragility, the heat of the component and something of the case's own give, and it may spill to
components that depend on this one. A broken case fails whenever it runs, until it is mended; flaky cases fail by
themselves besides. Heat and what is the case's own drift, so that a failure rate over all time goes stale. A cycle
runs a part of the cases: of changed components, failed when they last ran, or new, rather than others.

Given the state of the build before, and which components changed, cases fail independently of each other. The
probability of each is exact then, and no order made before the verdicts are known has a higher APFD on average than
the order by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS, ExecutionLog
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.synthetic.project import COMPONENTS, SyntheticCases, draw_cases
from rl_eval.errors import InputError

CHANGES = 2.5  # components that a build changes on average, but for quiet builds
QUIET = 0.4  # the share of builds that change nothing
HEAT_DEVIATION = 1.3  # of a component's heat, the logarithm of how often it changes beside the others
HEAT_ODDS = 1.4  # log-odds of breaking that a unit of heat adds: changes of hot components go deeper
OWN_DEVIATION = 1.2  # of log-odds of each case's own, which nothing shows
DRIFT_CYCLES = 50  # after so many cycles, heat and a case's own log-odds are correlated with what they were by 1/e
MOST_OFTEN = 0.9  # how often the hottest component changes at most
SPILL = 0.25  # the probability that a change reaches a component that depends on the changed one
SPILL_ODDS = -1.0  # what is added to the log-odds of breaking there
INTERCEPT = -5.6  # the log-odds of breaking of which all else is added
SIZE = (20, 80)  # cases a cycle, both ends included
# How much likelier a case is to be run: its component changed, it failed when it last ran, it never ran.
CHANGED_WEIGHT, FAILED_WEIGHT, NEW_WEIGHT = 30.0, 3.0, 6.0
WITHOUT_VERDICT = 0.02  # the share of executions that were blocked or skipped
DURATION_DEVIATION = 0.25  # of the logarithm of a case's durations
FIRST_CYCLE = 1_704_067_200.0  # 2024-01-01, UTC
SECONDS_A_CYCLE = 43_200.0


@dataclass(frozen=True)
class SyntheticProject:
    """A project, its R executions, and what is true of them.

    Attributes:
        failure_probability: `[R]` float32, the probability that the execution fails, were it to have a verdict, given
            the state of the build before and which components changed.
    """

    project: Project
    log: ExecutionLog
    failure_probability: np.ndarray = field(repr=False)


def generate(cycles: int, seed: int, cases: int = 600) -> SyntheticProject:
    """Simulate a project of that many cases over that many cycles.

    Raises:
        InputError: less than 1 of either, or a negative seed.
    """
    for name, value, least in (("cycles", cycles, 1), ("cases", cases, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name}={value} of the embedded project: give {least} or more")
    known = draw_cases(cases, _stream(seed, "cases"))
    heat, touched = _changes(cycles, _stream(seed, "changes"))
    case, cycle, verdict, probability = _run(known, heat, touched, _stream(seed, "runs"))
    noise = _stream(seed, "durations").normal(0.0, DURATION_DEVIATION, len(case))
    duration = np.where(verdict == NO_VERDICT, np.nan, np.exp(known.log_duration[case] + noise))
    log = ExecutionLog(
        n_cases=cases,
        cycles=tuple(f"build {i + 1:0{len(str(cycles))}d}" for i in range(cycles)),
        case=case,
        cycle=cycle,
        verdict=verdict,
        duration_ms=duration,
        started=_started(cycle, duration),
    )
    return SyntheticProject(known.project, log, probability)


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *name.encode()])))


def _changes(cycles: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How hot each component is, `[T, K]`, and how each build touches it: `[T, K, 2]` bool, changed, spilled to."""
    names = tuple(COMPONENTS)
    heat = _drift(cycles, len(names), HEAT_DEVIATION, rng)
    share = np.exp(heat) / np.exp(heat).sum(1, keepdims=True)
    changed = rng.random(heat.shape) < np.minimum(CHANGES * share, MOST_OFTEN)
    changed &= rng.random((cycles, 1)) >= QUIET
    edges = np.zeros((len(names), len(names)), bool)
    for i, (_, _, dependents) in enumerate(COMPONENTS.values()):
        edges[i, [names.index(name) for name in dependents]] = True
    spills = (rng.random((cycles, *edges.shape)) < SPILL) & edges & changed[:, :, None]
    return heat, np.stack([changed, spills.any(1)], axis=2)


def _drift(cycles: int, width: int, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Stationary first-order autoregressions that are forgotten over `DRIFT_CYCLES`, `[T, width]`."""
    kept = np.exp(-1.0 / DRIFT_CYCLES)
    path = rng.normal(0.0, deviation, (cycles, width))
    path[1:] *= np.sqrt(1.0 - kept**2)
    for t in range(1, cycles):
        path[t] += kept * path[t - 1]
    return path


def _run(
    known: SyntheticCases, heat: np.ndarray, touched: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cycle by cycle, what breaks and what is run: case, cycle, verdict and failure probability, each `[R]`."""
    cycles, n_cases = len(touched), len(known.component)
    size = rng.integers(SIZE[0], SIZE[1] + 1, cycles)
    added = np.floor(known.added * cycles)
    broken, failed, ran = (np.zeros(n_cases, bool) for _ in range(3))
    rows, verdicts, probabilities = [], [], []
    own = _drift(cycles, n_cases, OWN_DEVIATION, rng)
    for t in range(cycles):
        changed, spilled = touched[t, known.component].T
        odds = INTERCEPT + HEAT_ODDS * heat[t, known.component] + known.fragility + own[t]
        breaks = 1.0 - (1.0 - changed * _sigmoid(odds)) * (1.0 - spilled * _sigmoid(odds + SPILL_ODDS))
        stays = broken * (1.0 - known.mended)
        is_broken = 1.0 - (1.0 - breaks) * (1.0 - stays)
        fails = 1.0 - (1.0 - is_broken) * (1.0 - known.flake_rate)
        broken = rng.random(n_cases) < is_broken
        fails_now = broken | (rng.random(n_cases) < known.flake_rate)
        # The largest of log-weight + Gumbel noise: drawn without replacement by weight.
        weight = np.where(changed, CHANGED_WEIGHT, 1.0) * np.where(failed, FAILED_WEIGHT, 1.0)
        key = np.log(weight * np.where(ran, 1.0, NEW_WEIGHT)) + rng.gumbel(size=n_cases)
        there = np.flatnonzero(added <= t)
        chosen = np.sort(there[np.argsort(-key[there])[: size[t]]])
        done = rng.random(len(chosen)) >= WITHOUT_VERDICT
        ran[chosen[done]], failed[chosen[done]] = True, fails_now[chosen[done]]
        rows.append(chosen)
        verdicts.append(np.where(done, np.where(fails_now[chosen], FAIL, PASS), NO_VERDICT))
        probabilities.append(fails[chosen])
    cycle = np.repeat(np.arange(cycles, dtype=np.int32), [len(chosen) for chosen in rows])
    return (
        np.concatenate(rows).astype(np.int32),
        cycle,
        np.concatenate(verdicts).astype(np.int8),
        np.concatenate(probabilities).astype(np.float32),
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _started(cycle: np.ndarray, duration_ms: np.ndarray) -> np.ndarray:
    """When each execution began, seconds since 1970: one after another from the start of its cycle."""
    before = np.cumsum(np.nan_to_num(duration_ms)) - np.nan_to_num(duration_ms)
    first = np.searchsorted(cycle, cycle)
    return FIRST_CYCLE + SECONDS_A_CYCLE * cycle + (before - before[first]) / 1000.0
