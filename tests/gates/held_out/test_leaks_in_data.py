"""The leak check on the test sets of environments and of files."""

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from rl_eval import domains, seeding
from rl_eval.domains import threat
from rl_eval.exposure import Exposure, fingerprint_observations, hash_rows
from rl_eval.gates import held_out, load_suite
from rl_eval.rollout import play
from tests.gates.fake_runs import write_run

ROOT = Path(__file__).resolve().parents[3]
NSL_KDD = ROOT.parent / "shared/data/nsl-kdd"
CARTPOLE = domains.validate({"name": "cartpole"})


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
