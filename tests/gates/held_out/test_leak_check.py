"""The leak check finds cases that were used in training: set logic and messages."""

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.exposure import CaseObservations, Fingerprints, case_views, hash_rows
from rl_eval.gates import held_out
from tests.gates.held_out.exposures import NUMBERS, exposure_to, hashes, set_of


@given(NUMBERS.filter(bool), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3))
def test_leaked_cases_are_those_that_sets_find(test_set, parts):
    exposures = [exposure_to(train, validation) for train, validation in parts]
    trained, validated = (set().union(*(part[i] for part in parts)) for i in (0, 1))
    leaked = np.array([value in trained | validated for value in test_set])
    for leaks in ("refuse", "drop", "report"):
        check = held_out.check_exposures([set_of(test_set)] * len(exposures), exposures, leaks=leaks)
        assert check.exact == leaked.sum()
        assert check.in_train == sum(value in trained for value in test_set)
        assert check.in_validation == sum(value in validated for value in test_set)
        assert check.examples == tuple(np.flatnonzero(leaked)[:5].tolist())
        refused = leaked.any() and (leaks == "refuse" or (leaks == "drop" and leaked.all()))
        assert check.decision == ("ERROR" if refused else "PASS")
        if leaks == "drop" and leaked.any():
            assert np.array_equal(check.excluded, leaked)
        else:
            assert check.excluded is None


VALUES = st.lists(st.sampled_from([0.0, 1.0, 1.0001, 1.002, -1.0, 700.0, 700.4]), max_size=8)


@given(VALUES.filter(bool), VALUES)
def test_starts_nearly_alike_are_those_that_brute_force_finds_and_no_exact_ones(test_set, train):
    """On these values, equal to ten bits is: differing by less than a thousandth."""
    seeds = np.arange(len(test_set))
    check = held_out.check_exposures([set_of(test_set, seeds)], [exposure_to(train, cases=False)], leaks="report")
    near = [g not in train and any(abs(g - t) <= abs(t) / 1000 for t in train) for g in test_set]
    assert check.near == sum(near)
    assert (check.decision, check.excluded) == ("PASS", None)  # reported, never decided by


@given(NUMBERS.filter(bool), NUMBERS, NUMBERS)
def test_seeds_of_training_or_validation_are_leaks_too(gate_seeds, train_seeds, validation_seeds):
    test_set = set_of(1000 + np.arange(len(gate_seeds)), gate_seeds)
    exposure = exposure_to(cases=False, train_seeds=train_seeds, validation_seeds=validation_seeds)
    used = np.isin(gate_seeds, [*train_seeds, *validation_seeds])
    check = held_out.check_exposures([test_set], [exposure], leaks="drop")
    assert check.same_seed == used.sum()
    assert check.examples == tuple(np.array(gate_seeds)[used][:5].tolist())
    assert check.excluded is None if not used.any() else np.array_equal(check.excluded, used)


@given(NUMBERS.filter(bool), NUMBERS.filter(bool))
def test_cases_that_are_equal_to_the_policy_are_seen(raw, trained):
    """The preprocessing halves numbers, so that pairs of them look alike."""

    def hashed(values):
        rows = np.array(values, float).reshape(-1, 1)
        return hash_rows(rows), CaseObservations(rows // 2, ["field"])

    exact, cases = hashed(raw)
    train = Fingerprints.from_hashes(*(part if i == 0 else case_views(part) for i, part in enumerate(hashed(trained))))
    test_set = held_out.TestSet("case", exact, case_views(cases), np.array([], np.int64), cases)
    check = held_out.check_exposures([test_set], [dataclasses.replace(exposure_to([]), train=train)], leaks="drop")
    seen = [value // 2 in {other // 2 for other in trained} for value in raw]
    assert check.exact == check.in_train == sum(seen)
    assert check.preprocessed == sum(s and value not in trained for s, value in zip(seen, raw, strict=True))
    assert check.excluded is None if not any(seen) else check.excluded.tolist() == seen


def test_runs_see_a_test_set_each_through_its_own_preprocessing():
    """One run was trained on what the second test set shows, the other on nothing of either."""
    first, second = set_of([1, 2, 3]), dataclasses.replace(set_of([7, 8, 9]), exact=set_of([1, 2, 3]).exact)
    learned = dataclasses.replace(exposure_to([20]), train=Fingerprints.from_hashes(*hashes([8], True)))
    exposures = [exposure_to([30]), learned]
    assert held_out.check_exposures([first, first], exposures).decision == "PASS"
    check = held_out.check_exposures([first, second], exposures)
    assert (check.decision, check.examples, check.preprocessed) == ("ERROR", (1,), 1)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=9, unique=True), st.randoms())
def test_a_test_set_of_cases_is_the_same_in_any_order(values, random):
    shuffled = random.sample(values, len(values))
    assert set_of(shuffled).fingerprint == set_of(values).fingerprint
    assert set_of([*values, 31]).fingerprint != set_of(values).fingerprint
    seeds = list(range(len(values)))
    assert set_of(values, seeds).fingerprint != set_of([31, *values[1:]], seeds).fingerprint
    assert set_of(values, seeds).fingerprint != set_of(values, [31, *seeds[1:]]).fingerprint


def test_the_sentence_names_counts_examples_and_what_to_do():
    test_set = set_of([1, 2, 3, 4.001, *range(10, 206)])
    exposure = exposure_to([2], [3, 4], unrecorded=1200)
    refused = held_out.check_exposures([test_set], [exposure])
    for words in (
        "2 of 200 cases",
        "1 in train, 1 in validation",
        "cases 1, 2",
        "1 more (0.5 %) is",
        "1,200",
        "`leaks: drop`",
    ):
        assert words in refused.detail
    assert "kept" in held_out.check_exposures([test_set], [exposure], leaks="report").detail
    assert held_out.check_exposures([test_set], [exposure], leaks="drop").detail.endswith("left out")
    nothing_left = held_out.check_exposures([set_of([2, 3])], [exposure], leaks="drop")
    assert nothing_left.decision == "ERROR"
    assert "nothing is left to judge" in nothing_left.detail
