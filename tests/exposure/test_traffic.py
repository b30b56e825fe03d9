"""Logged traffic among what a policy was exposed to."""

import numpy as np
import pytest

from rl_eval import domains
from rl_eval.exposure import (
    Exposure,
    Fingerprints,
    contains,
    exposed_to_traffic,
    fingerprint_cases,
    fingerprint_observations,
    observed,
)

ENV = domains.validate({"name": "threat", "train_flows": 200, "validation_flows": 100, "test_flows": 150})
NO_SEEDS = np.empty(0, np.int64)


def test_traffic_is_found_again_by_what_the_policy_sees():
    record = Exposure.of_cases(ENV, NO_SEEDS)
    rows = domains.domain("threat").case_observations(ENV, "test")
    raw, views = fingerprint_cases(ENV, "test")
    assert not contains(np.sort(observed(record.train.views)), observed(views)).any()
    learned = exposed_to_traffic(record, ENV, rows[:60])
    found = contains(np.sort(observed(learned.train.views)), observed(views))
    assert found.tolist() == [True] * 60 + [False] * 90
    assert not contains(learned.train.exact, raw).any()  # raw fields are not logged
    assert len(learned.train) == len(record.train) + 60
    assert np.array_equal(learned.validation.exact, record.validation.exact)
    assert learned.unrecorded == 0
    again = exposed_to_traffic(learned, ENV, rows[:60])
    assert np.array_equal(again.train.exact, learned.train.exact)
    assert exposed_to_traffic(record, ENV, rows[:0]) is record


def test_of_an_environment_without_cases_first_observations_are_recorded():
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    empty = Exposure(False, Fingerprints.empty(), Fingerprints.empty(), NO_SEEDS, NO_SEEDS)
    learned = exposed_to_traffic(empty, domains.validate({"name": "cartpole"}), rows)
    assert np.array_equal(learned.train.exact, np.sort(fingerprint_observations(rows)[0]))


def test_observations_of_another_width_are_not_recorded():
    with pytest.raises((ValueError, IndexError)):
        exposed_to_traffic(Exposure.of_cases(ENV, NO_SEEDS), ENV, np.zeros((2, 3), np.float32))
