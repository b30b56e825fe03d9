"""Test sets and exposures made by hand from numbers."""

import numpy as np
from hypothesis import strategies as st

from rl_eval.exposure import CaseObservations, Exposure, Fingerprints, case_views, fingerprint_observations
from rl_eval.gates import held_out

NUMBERS = st.lists(st.integers(0, 15), max_size=12)


def observations(values):
    """Cases of one field."""
    return CaseObservations(np.array(values, float).reshape(-1, 1), ["field"])


def hashes(values, cases):
    seen = observations(values)
    exact, near = fingerprint_observations(seen.rows)
    return (exact, case_views(seen)) if cases else (exact, near)


def fingerprints(values, cases):
    return Fingerprints.from_hashes(*hashes(values, cases))


def exposure_to(train=(), validation=(), *, cases=True, train_seeds=(), validation_seeds=(), unrecorded=0):
    seeds = np.array(train_seeds, np.int64), np.array(validation_seeds, np.int64)
    return Exposure(cases, fingerprints(train, cases), fingerprints(validation, cases), *seeds, unrecorded)


def set_of(values, seeds=None):
    if seeds is None:
        return held_out.TestSet("case", *hashes(values, True), np.array([], np.int64), observations(values))
    return held_out.TestSet("episode", *hashes(values, False), np.array(seeds, np.int64))
