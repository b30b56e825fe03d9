"""Nothing that a gate judges by took part in training: set logic, chance, and what is said of it."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import domains, seeding
from rl_eval.domains import threat
from rl_eval.exposure import Exposure, Fingerprints, fingerprint_observations, hash_rows, write_exposure
from rl_eval.gates import held_out
from rl_eval.rollout import play
from tests.gates.fake_runs import write_run

NSL_KDD = Path(__file__).resolve().parents[2].parent / "shared/data/nsl-kdd"
CARTPOLE = domains.validate({"name": "cartpole"})
NUMBERS = st.lists(st.integers(0, 15), max_size=12)


def prints(values):
    return Fingerprints.from_hashes(*fingerprint_observations(np.array(values, float).reshape(-1, 1)))


def seen_of(train=(), select=(), *, cases=True, train_seeds=(), select_seeds=(), left_out=0):
    seeds = np.array(train_seeds, np.int64), np.array(select_seeds, np.int64)
    return Exposure(cases, prints(train), prints(select), *seeds, left_out)


def gate_of(values, seeds=None):
    both = fingerprint_observations(np.array(values, float).reshape(-1, 1))
    unit = "case" if seeds is None else "episode"
    return held_out.TestSet(unit, *both, np.array([] if seeds is None else seeds, np.int64))


# -- set logic ---------------------------------------------------------------------------------------------------------


@given(NUMBERS.filter(bool), st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3))
def test_leaked_cases_are_those_that_sets_find(gate, parts):
    known = [seen_of(train, select) for train, select in parts]
    trained, selected = (set().union(*(part[i] for part in parts)) for i in (0, 1))
    leaked = np.array([value in trained | selected for value in gate])
    for leaks in ("refuse", "drop", "report"):
        found = held_out.compare("s", gate_of(gate), known, leaks=leaks)
        assert found.exact == leaked.sum()
        assert found.in_train == sum(value in trained for value in gate)
        assert found.in_validation == sum(value in selected for value in gate)
        assert found.examples == tuple(np.flatnonzero(leaked)[:5].tolist())
        refused = leaked.any() and (leaks == "refuse" or (leaks == "drop" and leaked.all()))
        assert found.decision == ("ERROR" if refused else "PASS")
        if leaks == "drop" and leaked.any():
            assert np.array_equal(found.leave_out, leaked)
        else:
            assert found.leave_out is None


VALUES = st.lists(st.sampled_from([0.0, 1.0, 1.0001, 1.002, -1.0, 700.0, 700.4]), max_size=8)


@given(VALUES.filter(bool), VALUES)
def test_near_duplicates_are_those_that_brute_force_finds_and_no_exact_ones(gate, train):
    """On these values, equal to ten bits is: differing by less than a thousandth."""
    found = held_out.compare("s", gate_of(gate), [seen_of(train)], leaks="report")
    near = [g not in train and any(abs(g - t) <= abs(t) / 1000 for t in train) for g in gate]
    assert found.near == sum(near)
    assert (found.decision, found.leave_out) == ("PASS", None)  # reported, never decided by


@given(NUMBERS.filter(bool), NUMBERS, NUMBERS)
def test_seeds_of_training_or_selection_are_leaks_too(gate_seeds, train_seeds, select_seeds):
    gate = gate_of(1000 + np.arange(len(gate_seeds)), gate_seeds)
    known = seen_of(cases=False, train_seeds=train_seeds, select_seeds=select_seeds)
    used = np.isin(gate_seeds, [*train_seeds, *select_seeds])
    found = held_out.compare("s", gate, [known], leaks="drop")
    assert found.same_seed == used.sum()
    assert found.examples == tuple(np.array(gate_seeds)[used][:5].tolist())
    assert found.leave_out is None if not used.any() else np.array_equal(found.leave_out, used)


# -- chance ------------------------------------------------------------------------------------------------------------


def judged(train, gate):
    return held_out.compare("s", gate_of(gate, np.arange(len(gate))), [seen_of(train, cases=False)])


def test_one_start_state_is_a_note():
    found = judged([0.0] * 500, [0.0] * 100)  # CliffWalking
    assert (found.decision, found.finite, found.exact) == ("PASS", True, 100)
    assert "finite set of start states: 100 of 100 gate episodes" in found.detail


def test_in_a_continuous_environment_one_repeat_is_a_leak():
    rng = np.random.default_rng(0)
    train, gate = rng.random(5000), rng.random(100)
    assert judged(train, gate).decision == "PASS"
    gate[17] = train[4000]
    found = judged(train, gate)
    assert (found.decision, found.finite, found.examples) == ("ERROR", False, (17,))
    assert (
        "1 of 100 gate episodes (1.0 %) were seen before (1 by their first observation, 0 by their seed" in found.detail
    )


@pytest.mark.parametrize("states", [2, 400, 10_000, 1_000_000])
@pytest.mark.parametrize("drawn", [20, 1000, 20_000])
def test_draws_from_a_finite_set_are_hardly_ever_called_a_leak(states, drawn):
    rng = np.random.default_rng(states + drawn)
    alarms = 0
    for _ in range(200):
        train, gate = rng.integers(0, states, drawn), rng.integers(0, states, 100)
        again = np.isin(gate, train)
        alarm = again.any() and not held_out.explained_by_chance(again, np.unique(train, return_counts=True)[1], gate)
        alarms += alarm
    # where about as many start states as the square of the episodes are left, nothing has repeated yet, and a
    # first repeat cannot be told from a leak
    assert alarms <= (30 if states / 100 < drawn * drawn < 10 * states else 2)


def test_a_skewed_finite_set_is_no_leak_either():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(200):
        train, gate = (rng.zipf(1.5, n) for n in (2000, 100))
        times = np.unique(train, return_counts=True)[1]
        alarms += not held_out.explained_by_chance(np.isin(gate, train), times, gate)
    assert alarms <= 2


def test_training_on_a_few_fixed_levels_that_the_gate_holds_is_a_leak():
    rng = np.random.default_rng(2)
    levels = rng.random(10)
    found = judged(rng.choice(levels, 2000), np.concatenate([levels, rng.random(90)]))
    assert (found.decision, found.finite, found.exact) == ("ERROR", False, 10)


def test_more_repeats_than_training_itself_shows_is_a_leak():
    rng = np.random.default_rng(3)
    train = rng.integers(0, 100_000, 2000)
    assert judged(train, rng.integers(0, 100_000, 100)).decision == "PASS"
    assert judged(train, train[:100]).decision == "ERROR"


@given(st.integers(1, 30), st.floats(0.001, 0.999), st.integers(-1, 32))
def test_the_binomial_tail_is_the_sum_it_stands_for(total, probability, count):
    import math

    exact = sum(
        math.comb(total, i) * probability**i * (1 - probability) ** (total - i) for i in range(max(count, 0), total + 1)
    )
    assert held_out.binomial_tail(total, probability, count) == pytest.approx(exact, rel=1e-9, abs=1e-12)


# -- environments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 32, 45])
def test_the_test_set_is_what_the_episodes_begin_with(count):
    seeds = seeding.episode_seeds(3, count)
    gate = held_out.load_test_set(CARTPOLE, seeds)
    vector = domains.make(CARTPOLE, n_envs=7, part="test", autoreset=False)

    class Left:
        def act(self, obs, greedy):
            return np.zeros(len(obs), np.int64)

    played = play(vector, Left(), seeds=seeds)
    assert np.array_equal(gate.exact, fingerprint_observations(played.first_obs)[0])
    assert np.array_equal(held_out.load_test_set(CARTPOLE, seeds, vector).exact, gate.exact)
    alone = gym.make("CartPole-v1").reset(seed=seeds[-1])[0]
    assert hash_rows(alone[None])[0] == gate.exact[-1]


@pytest.mark.parametrize("name", ["CliffWalking", "FrozenLake", "Taxi"])
def test_gymnasium_environments_with_finite_starts_are_noted(name):
    env_id = max(known for known in gym.registry if known.startswith(f"{name}-v"))
    env = domains.validate({"name": "gym", "id": env_id})
    gate = held_out.load_test_set(env, seeding.episode_seeds(1, 100))
    trained = held_out.load_test_set(env, seeding.episode_seeds(1, 600, "other"))
    known = Exposure(
        False, Fingerprints.from_hashes(trained.exact, trained.near), prints([]), np.arange(0), np.arange(0)
    )
    found = held_out.compare("s", gate, [known])
    assert (found.decision, found.finite) == ("PASS", True)


def test_the_set_has_one_name_whatever_asks_for_it():
    seeds = seeding.episode_seeds(3, 5)
    assert held_out.load_test_set(CARTPOLE, seeds).fingerprint == held_out.load_test_set(CARTPOLE, seeds).fingerprint
    assert (
        held_out.load_test_set(CARTPOLE, seeds[:4]).fingerprint != held_out.load_test_set(CARTPOLE, seeds).fingerprint
    )
    other = threat.Config(data_seed=1, train_flows=200, validation_flows=200, test_flows=200)
    again = other.model_copy(update={"shift": 100})
    assert held_out.load_test_set(other, [0]).fingerprint == held_out.load_test_set(again, [0, 1]).fingerprint


@pytest.mark.skipif(
    not (NSL_KDD / "KDDTest+.txt").is_file(), reason="NSL-KDD (KDDTrain+.txt, KDDTest+.txt) is not at ../shared/data"
)
def test_664_flows_of_kddtest_stand_in_the_training_file(tmp_path):
    config = threat.Config(data="nsl_kdd", path=str(NSL_KDD))
    run = write_run(tmp_path / "run", config.model_dump(mode="json"))
    write_exposure(run.path, Exposure.of_cases(config, np.arange(8)))
    gate = held_out.load_test_set(config, range(113))
    refused = held_out.guard("nsl", gate, [run])
    assert (refused.decision, refused.exact, refused.in_train + refused.in_validation) == ("ERROR", 664, 664)
    assert refused.near == 20
    assert refused.detail.startswith("664 of 22,544 gate cases (2.9 %) were seen before, all features equal (")
    assert held_out.guard("nsl", gate, [run], leaks="report").decision == "PASS"
    dropped = held_out.guard("nsl", gate, [run], leaks="drop")
    assert dropped.decision == "PASS"
    assert dropped.leave_out.sum() == dropped.to_json()["left_out"] == 664
    learnt = np.concatenate([threat.DOMAIN.case_hashes(config, part) for part in ("train", "validation")])
    assert not np.isin(threat.DOMAIN.case_hashes(config, "test")[~dropped.leave_out], learnt).any()


def test_the_embedded_data_leaks_nothing():
    config = threat.Config()
    found = held_out.compare("s", held_out.load_test_set(config, []), [Exposure.of_cases(config, np.arange(1))])
    assert found.detail == "none of 40,000 gate cases was seen before"


# -- runs --------------------------------------------------------------------------------------------------------------


def recorded(path, known):
    """A run with a record, or with none."""
    run = write_run(path)
    (run.path / "seen.npz").unlink(missing_ok=True)
    if known is not None:
        write_exposure(run.path, known)
    return run


def test_the_worst_of_several_runs_decides(tmp_path):
    gate = gate_of([1, 2, 3], [10, 11, 12])
    clean = recorded(tmp_path / "clean", seen_of([7], cases=False))
    leaky = recorded(tmp_path / "leaky", seen_of([2], cases=False))
    assert held_out.guard("s", gate, [clean]).decision == "PASS"
    found = held_out.guard("s", gate, [clean, leaky])
    assert (found.decision, found.examples) == ("ERROR", (11,))


def test_a_run_without_a_record_is_an_error_unless_the_suite_only_reports(tmp_path):
    gate, run = gate_of([1], [10]), recorded(tmp_path / "run", None)
    for leaks in ("refuse", "drop"):
        found = held_out.guard("s", gate, [run], leaks=leaks)
        assert found.decision == "ERROR"
        assert "has no seen.npz, which says what it has seen: train again, or say `leaks: report`" in found.detail
    found = held_out.guard("s", gate, [run], leaks="report")
    assert (found.decision, found.detail.partition(":")[0]) == ("PASS", "not checked")


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
def test_a_damaged_or_foreign_record_is_an_error_always(tmp_path, leaks):
    run = recorded(tmp_path / "run", seen_of([7], cases=True))
    found = held_out.guard("s", gate_of([1], [10]), [run], leaks=leaks)
    assert found.decision == "ERROR"
    assert "is a record of cases, and the gate has episodes: train again" in found.detail
    (run.path / "seen.npz").write_bytes(b"PK")
    found = held_out.guard("s", gate_of([1], [10]), [run], leaks=leaks)
    assert found.decision == "ERROR"
    assert "seen.npz cannot be read" in found.detail


def test_of_a_policy_from_elsewhere_nothing_is_claimed():
    found = held_out.guard("s", gate_of([1]), [])
    assert (found.decision, found.leave_out) == ("PASS", None)
    assert found.detail.startswith("not checked: the policy comes from elsewhere")


def test_the_sentences():
    gate = gate_of([1, 2, 3, 4.0001])
    train = seen_of([2], [3, 4], left_out=1200)
    refused = held_out.compare("s", gate, [train])
    assert refused.detail == (
        "2 of 4 gate cases (50.0 %) were seen before, all features equal (1 in train, 1 in validation; cases 1, 2); 1 "
        "more is equal to one to about three digits; 1,200 that were seen are not on record: hold out other data, or "
        "say `leaks: drop` to leave them out or `report` to keep them"
    )
    assert held_out.compare("s", gate, [train], leaks="report").detail.endswith(": kept, as `leaks: report` says")
    assert held_out.compare("s", gate, [train], leaks="drop").detail.endswith("not on record: left out")
    nothing_left = held_out.compare("s", gate_of([2, 3]), [train], leaks="drop")
    assert nothing_left.detail.endswith("nothing is left to judge by; hold out other data")
    assert nothing_left.decision == "ERROR"
