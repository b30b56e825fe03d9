"""Near-duplicates above a share of the test set are leaks, unless chance explains them."""

import numpy as np
import pytest

from rl_eval.exposure import CaseObservations, Exposure, Fingerprints, case_views, hash_rows
from rl_eval.gates import held_out
from rl_eval.gates.held_out import near_duplicates
from rl_eval.gates.suite_format import NearDuplicatesSpec

NO_SEEDS = np.empty(0, np.int64)
WIDTH, TEST, TRAIN = 6, 500, 2000


def fields(rows):
    return [f"field {i}" for i in range(rows.shape[1])]


def exposure_to(train, validation=None):
    def fingerprints(rows):
        return Fingerprints.from_hashes(hash_rows(rows), case_views(CaseObservations(rows, fields(rows))))

    on_validation = Fingerprints.empty() if validation is None else fingerprints(validation)
    return Exposure(True, fingerprints(train), on_validation, NO_SEEDS, NO_SEEDS)


def check(test_set, train, *, leaks="refuse", validation=None, **keys):
    cases = CaseObservations(test_set, fields(test_set))
    one = held_out.TestSet("case", hash_rows(test_set), case_views(cases), NO_SEEDS, cases)
    spec = NearDuplicatesSpec(**keys)
    return held_out.check_exposures([one], [exposure_to(train, validation)], leaks=leaks, near=spec)


def flows(seed=0, count=TEST):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def copies_with(change, share=1.0):
    """A test set of which a share are rows of training, each changed."""
    train, test_set = flows(1, TRAIN), flows(2)
    count = int(share * TEST)
    test_set[:count] = train[:count]
    change(test_set[:count], np.random.default_rng(3))
    return test_set, train


def noise_in_one_column(rows, rng):
    rows[:, 2] += rng.normal(scale=1e-4, size=len(rows))


def noise_in_all_columns(rows, rng):
    rows += rng.normal(scale=1e-4, size=rows.shape)


def a_time_of_its_own(rows, rng):
    rows[:, 0] = 10.0 + rng.permutation(len(rows))


@pytest.mark.parametrize("change", [noise_in_one_column, noise_in_all_columns, a_time_of_its_own])
def test_copies_that_differ_a_little_are_leaks(change):
    result = check(*copies_with(change))
    assert (result.decision, result.exact, result.near_leaks) == ("ERROR", 0, True)
    assert result.near > 0.9 * TEST
    assert result.near_in_validation is None
    dropped = check(*copies_with(change, share=0.5), leaks="drop")
    assert (dropped.decision, int(dropped.excluded.sum())) == ("PASS", dropped.near)
    assert not dropped.excluded[TEST // 2 :].any()
    reported = check(*copies_with(change), leaks="report")
    assert (reported.decision, reported.excluded, reported.near_leaks) == ("PASS", None, True)


@pytest.mark.parametrize(("copied", "share", "leaks"), [(0.008, 0.01, False), (0.014, 0.01, True), (0.5, 0.5, False)])
def test_a_share_of_the_test_set_may_be_near_duplicates(copied, share, leaks):
    result = check(*copies_with(a_time_of_its_own, copied), share=share)
    assert (result.near, result.near_leaks) == (int(copied * TEST), leaks)
    assert result.decision == ("ERROR" if leaks else "PASS")
    assert f"{result.near} " in result.detail


def test_the_rounding_is_that_of_the_suite():
    test_set, train = copies_with(lambda rows, rng: np.add(rows, rng.normal(scale=0.004, size=rows.shape), out=rows))
    found = [check(test_set, train, rounding=rounding).near for rounding in (0.001, 0.01, 0.1)]
    assert found[0] < 5 < found[1] < found[2]


def test_the_message_compares_with_the_validation_part():
    test_set, train = copies_with(a_time_of_its_own)
    validation = flows(5, 100)
    validation[:25] = train[:25] + np.eye(WIDTH)[1]
    result = check(test_set, train, validation=validation)
    assert result.near_in_validation == 0.25
    assert "25.0 % of the validation part" in result.detail
    assert "near_duplicates: {share: 1}" in result.detail


def independent(*levels):
    """Draws of columns of so many levels each; the rows that are also in training are left out, as a split does."""

    def draw(seed):
        rng = np.random.default_rng(seed)
        train, test_set = (np.stack([rng.integers(0, n, k) for n in levels], 1) for k in (TRAIN, TEST))
        return test_set[~np.isin(hash_rows(test_set), hash_rows(train))].astype(float), train.astype(float)

    return draw


@pytest.mark.parametrize(
    "draw", [independent(30, 40), independent(10_000, 10_000), independent(12, 12, 12), independent(2, 3000)]
)
def test_columns_of_few_values_resemble_each_other_by_chance(draw):
    results = [check(*draw(seed)) for seed in range(5)]
    assert any(result.near > 0.01 * result.total for result in results)
    assert {(result.decision, result.near_leaks) for result in results} == {("PASS", False)}


def few_columns_that_depend_on_each_other(seed, count):
    """Hour, protocol, port and bytes of flows of 60 services, as in a narrow file."""
    rng = np.random.default_rng(seed)
    service, hour = rng.integers(0, 60, count), rng.integers(0, 24, count)
    return np.stack([hour, service % 3, service, service * 7 + rng.integers(0, 25, count)], 1).astype(float)


def test_few_columns_say_too_little_for_a_leak():
    train, drawn = (few_columns_that_depend_on_each_other(seed, count) for seed, count in ((1, 4_000), (2, 1_000)))
    test_set = drawn[~np.isin(hash_rows(drawn), hash_rows(train))]
    result = check(test_set, train)
    assert result.near > 0.4 * result.total
    assert (result.decision, result.leaked, result.near_leaks, result.near_unknown) == ("PASS", 0, False, True)
    assert "this is not checked" in result.detail
    # as many flows with eight columns that vary are leaks
    wide = [np.concatenate([rows, np.arange(2.0, 7.0) * rows[:, 2:3]], 1) for rows in (test_set, train)]
    assert check(*wide).near_leaks


def test_what_is_nearly_equal_is_not_said_to_have_taken_part():
    detail = check(*copies_with(a_time_of_its_own), leaks="report").detail
    assert "nearly equal one of training" in detail
    assert "took part" not in detail


def test_two_columns_of_yes_and_no_leak_nothing():
    rows = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    train, test_set = np.repeat(rows[:2], 500, axis=0), np.repeat(rows[2:], 200, axis=0)  # split by content
    result = check(test_set, train)
    assert (result.decision, result.near, result.near_leaks) == ("PASS", 400, False)
    assert "chance explains" in result.detail


def test_a_single_field_has_no_near_duplicates_but_by_rounding():
    result = check(np.arange(0.0, 50.0)[:, None], np.arange(100.0, 150.0)[:, None])
    assert (result.decision, result.near) == ("PASS", 0)


def test_chance_is_what_independent_draws_show():
    """The mean over draws of the expected number is that of the number found, above where values are rare."""
    for levels, most in (((12, 12, 12), 1.1), ((300, 300), 4.0)):
        rng = np.random.default_rng(7)
        found, expected = 0.0, 0.0
        for _ in range(20):
            train, rows = (np.stack([rng.integers(0, n, k) for n in levels], 1).astype(float) for k in (100, TEST))
            cases = CaseObservations(rows, fields(rows))
            test_set = held_out.TestSet("case", hash_rows(rows), case_views(cases), NO_SEEDS, cases)
            found += near_duplicates.is_near_duplicate(test_set, exposure_to(train), 0.01).sum()
            expected += near_duplicates.by_chance(test_set, 100, 0.01).sum()
        assert 0.9 < expected / found < most


def test_the_share_of_a_frequent_value_is_that_among_the_others():
    values = np.array([7] * 60 + [8] * 40 + list(range(100, 150)), np.uint64)
    shares = near_duplicates.value_shares(values)
    assert (shares[0], shares[60]) == (59 / 149, 39 / 149)
    assert 0 < shares[-1] < 0.01
    assert len(set(shares[100:])) == 1
