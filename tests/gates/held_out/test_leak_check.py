"""The leak check finds cases that were used in training: set logic, chance, and messages."""

import dataclasses
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import domains, seeding
from rl_eval.domains import threat
from rl_eval.exposure import (
    CaseObservations,
    Exposure,
    Fingerprints,
    case_views,
    exposure_file,
    fingerprint_observations,
    hash_rows,
    write_exposure,
)
from rl_eval.gates import held_out, load_suite
from rl_eval.gates.held_out import start_states
from rl_eval.rollout import play
from tests.gates.fake_runs import record_files, write_run

ROOT = Path(__file__).resolve().parents[3]
NSL_KDD = ROOT.parent / "shared/data/nsl-kdd"
CARTPOLE = domains.validate({"name": "cartpole"})
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


# -- set logic ---------------------------------------------------------------------------------------------------------


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


# -- chance ------------------------------------------------------------------------------------------------------------


def judged(train, test_set):
    return held_out.check_exposures([set_of(test_set, np.arange(len(test_set)))], [exposure_to(train, cases=False)])


def test_one_start_state_is_a_note():
    check = judged([0.0] * 500, [0.0] * 100)  # CliffWalking
    assert (check.decision, check.finite, check.exact) == ("PASS", True, 100)
    assert "finite set of start states" in check.detail


def test_in_a_continuous_environment_one_repeat_is_a_leak():
    rng = np.random.default_rng(0)
    train, test_set = rng.random(5000), rng.random(100)
    assert judged(train, test_set).decision == "PASS"
    test_set[17] = train[4000]
    check = judged(train, test_set)
    assert (check.decision, check.finite, check.examples) == ("ERROR", False, (17,))
    assert (check.exact, check.same_seed) == (1, 0)


@pytest.mark.parametrize("states", [2, 400, 10_000, 1_000_000])
@pytest.mark.parametrize("drawn", [20, 1000, 20_000])
def test_draws_from_a_finite_set_are_hardly_ever_called_a_leak(states, drawn):
    rng = np.random.default_rng(states + drawn)
    alarms = 0
    for _ in range(200):
        train, test_set = rng.integers(0, states, drawn), rng.integers(0, states, 100)
        repeated = np.isin(test_set, train)
        alarm = repeated.any() and not start_states.explained_by_chance(
            repeated, np.unique(train, return_counts=True)[1], test_set
        )
        alarms += alarm
    # where about as many start states as the square of the episodes are left, nothing has repeated yet, and a
    # first repeat cannot be told from a leak
    assert alarms <= (30 if states / 100 < drawn * drawn < 10 * states else 2)


def test_a_skewed_finite_set_is_no_leak_either():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        train, test_set = (rng.zipf(1.5, n) for n in (2000, 100))
        times = np.unique(train, return_counts=True)[1]
        alarms += not start_states.explained_by_chance(np.isin(test_set, train), times, test_set)
    assert alarms <= 2


def test_training_on_a_few_fixed_levels_that_the_gate_holds_is_a_leak():
    rng = np.random.default_rng(2)
    levels = rng.random(10)
    check = judged(rng.choice(levels, 2000), np.concatenate([levels, rng.random(90)]))
    assert (check.decision, check.finite, check.exact) == ("ERROR", False, 10)


def test_more_repeats_than_training_itself_shows_is_a_leak():
    rng = np.random.default_rng(3)
    train = rng.integers(0, 100_000, 2000)
    assert judged(train, rng.integers(0, 100_000, 100)).decision == "PASS"
    assert judged(train, train[:100]).decision == "ERROR"


@given(st.integers(1, 30), st.floats(0.001, 0.999), st.integers(-1, 32))
def test_the_binomial_tail_equals_its_sum(total, probability, count):
    import math

    exact = sum(
        math.comb(total, i) * probability**i * (1 - probability) ** (total - i) for i in range(max(count, 0), total + 1)
    )
    assert start_states.binomial_tail(total, probability, count) == pytest.approx(exact, rel=1e-9, abs=1e-12)


# -- environments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 32, 45])
def test_the_test_set_is_what_the_episodes_begin_with(count):
    seeds = seeding.episode_seeds(3, count)
    test_set = held_out.load_test_set(CARTPOLE, seeds)
    vector = domains.make(CARTPOLE, n_envs=7, part="test", autoreset=False)

    class AlwaysLeft:
        def act(self, obs, greedy):
            return np.zeros(len(obs), np.int64)

    played = play(vector, AlwaysLeft(), seeds=seeds)
    assert np.array_equal(test_set.exact, fingerprint_observations(played.first_obs)[0])
    assert np.array_equal(held_out.load_test_set(CARTPOLE, seeds, vector).exact, test_set.exact)
    alone = gym.make("CartPole-v1").reset(seed=seeds[-1])[0]
    assert hash_rows(alone[None])[0] == test_set.exact[-1]


@pytest.mark.parametrize("name", ["CliffWalking", "FrozenLake", "Taxi"])
def test_gymnasium_environments_with_finite_starts_are_noted(name):
    env_id = max(name_ for name_ in gym.registry if name_.startswith(f"{name}-v"))
    env = domains.validate({"name": "gym", "id": env_id})
    test_set = held_out.load_test_set(env, seeding.episode_seeds(1, 100))
    trained = held_out.load_test_set(env, seeding.episode_seeds(1, 600, "other"))
    exposure = Exposure(
        False,
        Fingerprints.from_hashes(trained.exact, trained.views),
        fingerprints([], False),
        np.arange(0),
        np.arange(0),
    )
    check = held_out.check_exposures([test_set], [exposure])
    assert (check.decision, check.finite) == ("PASS", True)


def test_a_test_set_has_one_fingerprint_whatever_suite_plays_it():
    seeds = seeding.episode_seeds(3, 5)
    assert held_out.load_test_set(CARTPOLE, seeds).fingerprint == held_out.load_test_set(CARTPOLE, seeds).fingerprint
    other = threat.Config(data_seed=1, train_flows=200, validation_flows=200, test_flows=200)
    again = other.model_copy(update={"shift": 100})
    assert held_out.load_test_set(other, [0]).fingerprint == held_out.load_test_set(again, [0, 1]).fingerprint


@pytest.mark.skipif(
    not (NSL_KDD / "KDDTest+.txt").is_file(), reason="NSL-KDD (KDDTrain+.txt, KDDTest+.txt) is not at ../shared/data"
)
def test_664_flows_of_kddtest_stand_in_the_training_file(tmp_path):
    config = threat.Config(data="nsl_kdd", path=str(NSL_KDD))
    run = write_run(tmp_path / "run", config.model_dump(mode="json"))
    test_set = held_out.load_test_set(config, range(113))
    refused = held_out.check_runs([test_set], [run])
    assert (refused.decision, refused.exact, refused.in_train + refused.in_validation) == ("ERROR", 664, 664)
    assert (refused.preprocessed, refused.near, refused.near_leaks) == (0, 4040, True)
    assert refused.near_in_validation > refused.near / refused.total
    spec = load_suite(ROOT / "suites/threat_nsl_kdd.yaml").spec
    dropped = held_out.check_runs([test_set], [run], leaks="drop", near=spec.near_duplicates)
    assert (dropped.decision, dropped.near_leaks, dropped.excluded.sum()) == ("PASS", False, 664)
    learnt = np.concatenate([threat.DOMAIN.case_hashes(config, part) for part in ("train", "validation")])
    assert not np.isin(threat.DOMAIN.case_hashes(config, "test")[~dropped.excluded], learnt).any()


def flows_csv(path, rows, columns):
    """Flows of four measurements, with further columns; a flow is a threat where the first is large."""
    lines = [",".join([*"abcd", *columns, "label"])]
    for i, row in enumerate(rows):
        more = [str(values[i]) for values in columns.values()]
        lines.append(",".join([*(f"{value:.6f}" for value in row), *more, str(int(row[0] > 0))]))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("change", "column", "exact", "preprocessed", "near"),
    [
        ("noise", None, 0, 0, True),
        (None, "text", 100, 0, False),  # ids are left out
        (None, "time", 0, 0, True),
        (None, None, 100, 0, False),
        ("fresh", "time", 0, 0, False),
    ],
)
def test_copies_in_a_test_file_are_found_behind_the_preprocessing(tmp_path, change, column, exact, preprocessed, near):
    rng = np.random.default_rng(0)
    train, rows = rng.normal(size=(400, 4)), rng.normal(size=(200, 4))
    if change != "fresh":
        rows[:100] = train[:100]
    if change == "noise":
        rows[:, 1] += rng.normal(scale=1e-4, size=200)
    for name, values, first in (("train", train, 0), ("test", rows, 1000)):
        numbers = first + np.arange(len(values))
        columns = {"text": {"id": [f"flow {i}" for i in numbers]}, "time": {"time": 17e8 + 0.1 * numbers}, None: {}}
        flows_csv(tmp_path / f"{name}.csv", values, columns[column])
    places = {"path": str(tmp_path / "train.csv"), "test_path": str(tmp_path / "test.csv")}
    config = threat.Config(data="csv", label="label", **places)
    check = held_out.check_exposures([held_out.load_test_set(config, [])], [Exposure.of_cases(config, np.arange(1))])
    assert (check.exact, check.preprocessed, check.near_leaks) == (exact, preprocessed, near)
    assert check.decision == ("PASS" if change == "fresh" else "ERROR")
    if near:
        assert 90 <= check.near <= 105


def test_the_embedded_data_leaks_nothing():
    config = threat.Config()
    check = held_out.check_exposures([held_out.load_test_set(config, [])], [Exposure.of_cases(config, np.arange(1))])
    assert (check.decision, check.total, check.exact, check.near) == ("PASS", 40_000, 0, 0)


# -- runs --------------------------------------------------------------------------------------------------------------


def recorded(path, exposure):
    """A run with a record, or with none."""
    run = write_run(path)
    (run.path / "seen.npz").unlink(missing_ok=True)
    if exposure is not None:
        write_exposure(run.path, exposure)
    return record_files(run.path)


def test_the_worst_of_several_runs_decides(tmp_path):
    test_set = set_of([1, 2, 3], [10, 11, 12])
    clean = recorded(tmp_path / "clean", exposure_to([7], cases=False))
    leaky = recorded(tmp_path / "leaky", exposure_to([2], cases=False))
    assert held_out.check_runs([test_set], [clean]).decision == "PASS"
    check = held_out.check_runs([test_set] * 2, [clean, leaky])
    assert (check.decision, check.examples) == ("ERROR", (11,))


def test_a_run_without_a_record_is_an_error_unless_the_suite_only_reports(tmp_path):
    test_set, run = set_of([1], [10]), recorded(tmp_path / "run", None)
    for leaks in ("refuse", "drop"):
        check = held_out.check_runs([test_set], [run], leaks=leaks)
        assert check.decision == "ERROR"
        assert "has no seen.npz" in check.detail
        assert "set `leaks: report`" in check.detail
    assert held_out.check_runs([test_set], [run], leaks="report").decision == "NOT_CHECKED"


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
def test_a_damaged_or_foreign_record_is_an_error_always(tmp_path, leaks):
    run = recorded(tmp_path / "run", exposure_to([7], cases=True))
    check = held_out.check_runs([set_of([1], [10])], [run], leaks=leaks)
    assert check.decision == "ERROR"
    assert "is a record of cases, and the test set has episodes" in check.detail
    (run.path / "seen.npz").write_bytes(b"PK")
    check = held_out.check_runs([set_of([1], [10])], [run], leaks=leaks)
    assert check.decision == "ERROR"
    assert "seen.npz is not the file that training wrote" in check.detail
    check = held_out.check_runs([set_of([1], [10])], [record_files(run.path)], leaks=leaks)
    assert check.decision == "ERROR"
    assert "seen.npz cannot be read" in check.detail


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize(
    ("counted", "init", "decision"),
    [
        ({"train": 3, "validation": 1}, None, "PASS"),
        ({"train": 4, "validation": 1}, None, "ERROR"),
        ({"train": 2, "validation": 1}, None, "ERROR"),
        ({"train": 2, "validation": 1}, {"run": "parent"}, "PASS"),  # whose cases are on record too
        ({"train": 2, "validation": 1}, "x", "ERROR"),
        ({"train": 3, "validation": 2}, {"run": "parent"}, "ERROR"),
        ({"train": 3}, None, "ERROR"),
        ({"train": 3, "validation": "1"}, None, "ERROR"),
        (None, None, "ERROR"),
    ],
)
def test_a_record_of_other_numbers_of_cases_than_the_run_counted_is_an_error(tmp_path, leaks, counted, init, decision):
    run = recorded(tmp_path / "run", exposure_to([7, 8, 8], [9], cases=True))
    run = dataclasses.replace(run, info={**run.info, "cases": counted, "init": init})
    assert held_out.check_runs([set_of([1])], [run], leaks=leaks).decision == decision


def test_a_record_of_cases_with_other_fields_is_an_error(tmp_path):
    wide = CaseObservations(np.zeros((1, 50)), [f"field {i}" for i in range(50)])
    train = Fingerprints.from_hashes(hash_rows(wide.rows), case_views(wide))
    record = dataclasses.replace(exposure_to([]), train=train)
    run = recorded(tmp_path / "run", record)
    run = dataclasses.replace(run, info={**run.info, "cases": {"train": 1, "validation": 0}})
    check = held_out.check_runs([set_of([1])], [run])
    assert (check.decision, "number of fields" in check.detail) == ("ERROR", True)


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


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
def test_a_record_with_fewer_episodes_than_the_run_counted_is_an_error_always(tmp_path, leaks):
    run = recorded(tmp_path / "run", exposure_to([7, 8, 8], cases=False, unrecorded=2))
    for episodes, decision in ((5, "PASS"), (6, "ERROR")):
        counted = dataclasses.replace(run, info={**run.info, "episodes": episodes})
        check = held_out.check_runs([set_of([1], [10])], [counted], leaks=leaks)
        assert check.decision == decision
    assert "records 5 episodes of training, and run.json counts 6" in check.detail


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize("episodes", [5.5, "x", None, -3, True])
def test_a_run_that_does_not_count_its_episodes_is_an_error_always(tmp_path, leaks, episodes):
    run = recorded(tmp_path / "run", exposure_to([7], cases=False))
    counted = dataclasses.replace(run, info={**run.info, "episodes": episodes})
    check = held_out.check_runs([set_of([1], [10])], [counted], leaks=leaks)
    assert (check.decision, "does not count the episodes" in check.detail) == ("ERROR", True)


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize("sha256", ["recorded", None, 5])
def test_the_record_of_another_run_is_an_error_always(tmp_path, leaks, sha256):
    """Both count the same."""
    run = recorded(tmp_path / "run", exposure_to([1], cases=True))
    run.info["cases"] = {"train": 1, "validation": 0}
    write_exposure(run.path, exposure_to([7], cases=True))
    if sha256 != "recorded":
        run.info["files_sha256"] = {"seen.npz": sha256}
    check = held_out.check_runs([set_of([1])], [run], leaks=leaks)
    assert (check.decision, "SHA-256" in check.detail) == ("ERROR", True)


@pytest.mark.parametrize(("unrecorded", "limit", "decision"), [(3, 9, "ERROR"), (-1, 1, "ERROR"), (3, 1, "PASS")])
def test_cases_are_off_the_record_only_where_it_is_full(tmp_path, monkeypatch, unrecorded, limit, decision):
    monkeypatch.setattr(exposure_file, "MAX_ENTRIES", limit)
    run = recorded(tmp_path / "run", exposure_to([7], cases=True, unrecorded=unrecorded))
    run.info["cases"] = {"train": max(1 + unrecorded, 0), "validation": 0}
    assert held_out.check_runs([set_of([1])], [run]).decision == decision


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
