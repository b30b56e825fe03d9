"""Simulate the history of the embedded project, with the known probability of each failure.

A cycle tests a build. A build changes a few components, or none. A change breaks cases of its component. The
probability depends on fragility of the case, heat of the component and a hidden effect of the case. A change can spill
to dependent components. A broken case fails each time it runs, until it is repaired; flaky cases also fail
randomly. Heat and hidden effects drift, so that old failures lose their meaning. A cycle runs some of the cases,
preferably those of changed components, those that failed last, and new ones.

Given the state of the build before, and which components changed, cases fail independently of each other. So
the probability of each failure is exact, and no order made before the verdicts are known has a higher mean APFD than
the order by this probability.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rl_eval.domains.qase.fixed_strings import CASES_STREAM, CHANGES_STREAM, DURATIONS_STREAM, RUNS_STREAM
from rl_eval.domains.qase.model.execution_log import FAIL, NO_VERDICT, PASS, ExecutionLog
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.synthetic.project import COMPONENTS, SyntheticCases, draw_cases
from rl_eval.errors import InputError

CHANGES = 2.5  # mean number of components that a build changes, apart from quiet builds
QUIET = 0.4  # the share of builds that change nothing
HEAT_DEVIATION = 1.3  # of a component's heat, the logarithm of its relative rate of change
HEAT_ODDS = 1.4  # log-odds of breaking per unit of heat: changes of hot components break more
OWN_DEVIATION = 1.2  # of the hidden log-odds of each case
DRIFT_CYCLES = 50  # cycles after which the correlation of heat and hidden log-odds has fallen to 1/e
MOST_OFTEN = 0.9  # highest probability that a component changes
SPILL = 0.25  # the probability that a change reaches a component that depends on the changed one
SPILL_ODDS = -1.0  # added to the log-odds of breaking there
INTERCEPT = -5.6  # log-odds of breaking without other effects
SIZE = (20, 80)  # range of cases per cycle, inclusive
# Weights for being run: the component changed, the case failed when it last ran, the case never ran.
CHANGED_WEIGHT, FAILED_WEIGHT, NEW_WEIGHT = 30.0, 3.0, 6.0
CONSTANT_RATES = (0.4, 3.6)  # of the beta distribution of failure rates, without signal: mean .1
WITHOUT_VERDICT = 0.02  # share of executions that were blocked or skipped
DURATION_DEVIATION = 0.25  # of the logarithm of a case's durations
FIRST_CYCLE = 1_704_067_200.0  # 2024-01-01, UTC
SECONDS_A_CYCLE = 43_200.0


@dataclass(frozen=True)
class SyntheticProject:
    """A project with R executions and their failure probabilities.

    Attributes:
        failure_probability: `[R]` float32, probability that the execution fails if it has a verdict, given the state of
            the build before and which components changed.
    """

    project: Project
    log: ExecutionLog
    failure_probability: np.ndarray = field(repr=False)


def generate(cycles: int, seed: int, cases: int = 600, signal: bool = True) -> SyntheticProject:
    """Simulate a project of that many cases over that many cycles.

    Args:
        signal: whether fields and recent verdicts say more than how often a case fails. Without it, each case fails
            at a constant rate of its own that its fields do not affect, and random cases run.

    Raises:
        InputError: less than 1 of either, or a negative seed.
    """
    for name, value, least in (("cycles", cycles, 1), ("cases", cases, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"{name}={value} of the embedded project: give {least} or more")
    drawn = draw_cases(cases, _stream(seed, CASES_STREAM))
    heat, touched = _changes(cycles, _stream(seed, CHANGES_STREAM))
    rng = _stream(seed, RUNS_STREAM)
    case, cycle, verdict, probability = (
        _run(drawn, heat, touched, rng) if signal else _run_at_constant_rates(drawn, cycles, rng)
    )
    noise = _stream(seed, DURATIONS_STREAM).normal(0.0, DURATION_DEVIATION, len(case))
    duration = np.where(verdict == NO_VERDICT, np.nan, np.exp(drawn.log_duration[case] + noise))
    log = ExecutionLog(
        n_cases=cases,
        cycles=tuple(f"build {i + 1:0{len(str(cycles))}d}" for i in range(cycles)),
        case=case,
        cycle=cycle,
        verdict=verdict,
        duration_ms=duration,
        started=_started(cycle, duration),
    )
    return SyntheticProject(drawn.project, log, probability)


def _stream(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *name.encode()])))


def _changes(cycles: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Heat of each component, `[T, K]`, and how each build affects it: `[T, K, 2]` bool (changed, spilled to)."""
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
    """Stationary first-order autoregressions with time constant `DRIFT_CYCLES`, `[T, width]`."""
    decay = np.exp(-1.0 / DRIFT_CYCLES)
    path = rng.normal(0.0, deviation, (cycles, width))
    path[1:] *= np.sqrt(1.0 - decay**2)
    for t in range(1, cycles):
        path[t] += decay * path[t - 1]
    return path


def _run(
    cases: SyntheticCases, heat: np.ndarray, touched: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Simulate breaking and running, cycle by cycle: case, cycle, verdict and failure probability, each `[R]`."""
    cycles, n_cases = len(touched), len(cases.component)
    size = rng.integers(SIZE[0], SIZE[1] + 1, cycles)
    added = np.floor(cases.added * cycles)
    broken, failed, ran = (np.zeros(n_cases, bool) for _ in range(3))
    rows, verdicts, probabilities = [], [], []
    case_drift = _drift(cycles, n_cases, OWN_DEVIATION, rng)
    for t in range(cycles):
        changed, spilled = touched[t, cases.component].T
        odds = INTERCEPT + HEAT_ODDS * heat[t, cases.component] + cases.fragility + case_drift[t]
        breaks = 1.0 - (1.0 - changed * _sigmoid(odds)) * (1.0 - spilled * _sigmoid(odds + SPILL_ODDS))
        stays = broken * (1.0 - cases.repaired)
        is_broken = 1.0 - (1.0 - breaks) * (1.0 - stays)
        fails = 1.0 - (1.0 - is_broken) * (1.0 - cases.flake_rate)
        broken = rng.random(n_cases) < is_broken
        fails_now = broken | (rng.random(n_cases) < cases.flake_rate)
        # The largest log-weight + Gumbel noise: a draw without replacement by weight.
        weight = np.where(changed, CHANGED_WEIGHT, 1.0) * np.where(failed, FAILED_WEIGHT, 1.0)
        key = np.log(weight * np.where(ran, 1.0, NEW_WEIGHT)) + rng.gumbel(size=n_cases)
        available = np.flatnonzero(added <= t)
        cases_run = np.sort(available[np.argsort(-key[available])[: size[t]]])
        done = rng.random(len(cases_run)) >= WITHOUT_VERDICT
        ran[cases_run[done]], failed[cases_run[done]] = True, fails_now[cases_run[done]]
        rows.append(cases_run)
        verdicts.append(np.where(done, np.where(fails_now[cases_run], FAIL, PASS), NO_VERDICT))
        probabilities.append(fails[cases_run])
    cycle = np.repeat(np.arange(cycles, dtype=np.int32), [len(cases_run) for cases_run in rows])
    return (
        np.concatenate(rows).astype(np.int32),
        cycle,
        np.concatenate(verdicts).astype(np.int8),
        np.concatenate(probabilities).astype(np.float32),
    )


def _run_at_constant_rates(
    cases: SyntheticCases, cycles: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As `_run`, without components, changes and repairs."""
    added = np.floor(cases.added * cycles)
    rate = rng.beta(*CONSTANT_RATES, len(added))
    size = rng.integers(SIZE[0], SIZE[1] + 1, cycles)
    key = np.where(added <= np.arange(cycles)[:, None], rng.random((cycles, len(added))), 2.0)
    available = (key < 2.0).sum(1)
    rows = [np.sort(np.argsort(key[t])[: min(size[t], available[t])]) for t in range(cycles)]
    case = np.concatenate(rows)
    verdict = np.where(rng.random(len(case)) < rate[case], FAIL, PASS)
    verdict[rng.random(len(case)) < WITHOUT_VERDICT] = NO_VERDICT
    cycle = np.repeat(np.arange(cycles, dtype=np.int32), [len(cases_run) for cases_run in rows])
    return case.astype(np.int32), cycle, verdict.astype(np.int8), rate[case].astype(np.float32)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def _started(cycle: np.ndarray, duration_ms: np.ndarray) -> np.ndarray:
    """Start time of each execution, seconds since 1970: one after another from the start of its cycle."""
    before = np.cumsum(np.nan_to_num(duration_ms)) - np.nan_to_num(duration_ms)
    first = np.searchsorted(cycle, cycle)
    return FIRST_CYCLE + SECONDS_A_CYCLE * cycle + (before - before[first]) / 1000.0
