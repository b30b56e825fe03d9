"""The recorder stores the first observation of every episode and does not change the training."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import domains
from rl_eval.exposure import (
    Fingerprints,
    FirstObservationRecorder,
    RecordFirstObservations,
    fingerprint_observations,
    hash_rows,
)


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=12), st.integers(0, 12))
def test_the_recorder_is_a_multiset(chunks, saved_at):
    """Against a Python dict; a resume point in between changes nothing."""
    recorder, counts = FirstObservationRecorder(), {}
    for i, chunk in enumerate(chunks):
        recorder.add(np.array(chunk, float).reshape(-1, 1))
        for value in chunk:
            counts[value] = counts.get(value, 0) + 1
        if i == saved_at:
            state = {name: array.copy() for name, array in recorder.state().items()}
            recorder = FirstObservationRecorder()
            recorder.add(np.full((3, 1), 77.0))  # what a restart resets to is forgotten
            recorder.load_state(state, episodes=0)
    recorded = recorder.fingerprints()
    exact, near = fingerprint_observations(np.array(list(counts), float).reshape(-1, 1))
    expected = dict(zip(exact.tolist(), zip(near[:, 0].tolist(), counts.values(), strict=True), strict=True))
    pairs = zip(recorded.views.ravel().tolist(), recorded.counts.tolist(), strict=True)
    assert dict(zip(recorded.exact.tolist(), pairs, strict=True)) == expected
    assert (np.diff(recorded.exact.astype(object)) > 0).all()


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP], ids=lambda mode: mode.name)
def test_the_wrapper_records_the_first_observation_of_every_episode(mode):
    """Against a single environment, whose every reset is seen."""
    recorder = FirstObservationRecorder()
    vector = RecordFirstObservations(
        gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")], autoreset_mode=mode), recorder
    )
    single = gym.make("CartPole-v1")
    vector.reset(seed=3)
    starts, over = [single.reset(seed=3)[0]], False
    while len(starts) < 6:
        _, _, terminated, truncated, _ = vector.step(np.array([1]))
        if over:  # this was the step that only resets
            starts.append(single.reset()[0])
        else:
            _, _, ends, cut, _ = single.step(1)
            assert (bool(terminated[0]), bool(truncated[0])) == (ends, cut)
            if (ends or cut) and mode == AutoresetMode.SAME_STEP:
                starts.append(single.reset()[0])
        over = mode == AutoresetMode.NEXT_STEP and bool(terminated[0] or truncated[0]) and not over
    expected = Fingerprints.from_hashes(*fingerprint_observations(np.stack(starts)))
    for name, column in vars(expected).items():
        assert np.array_equal(getattr(recorder.fingerprints(), name), column)


def test_a_full_recorder_keeps_what_it_has_and_counts_the_rest():
    recorder = FirstObservationRecorder(limit=3)
    recorder.add(np.array([[1.0], [2.0]]))
    assert recorder.unrecorded == 0
    recorder.add(np.array([[1.0], [3.0], [4.0], [4.0]]))
    recorded = recorder.fingerprints()
    assert len(recorded) == 3
    assert {*hash_rows(np.array([[1.0], [2.0]])).tolist()} <= set(recorded.exact.tolist())
    assert recorder.unrecorded + int(recorded.counts.sum()) == 6
    recorder.add(np.array([[1.0], [5.0]]))
    assert recorder.unrecorded + int(recorder.fingerprints().counts.sum()) == 8


def test_many_blocks_are_as_good_as_one():
    rows = np.random.default_rng(0).integers(0, 30_000, (200_000, 1)).astype(float)
    recorder = FirstObservationRecorder()
    for chunk in np.array_split(rows, 900):
        recorder.add(chunk)
    expected = Fingerprints.from_hashes(*fingerprint_observations(rows))
    for name in ("exact", "views", "counts"):
        assert np.array_equal(getattr(recorder.fingerprints(), name), getattr(expected, name))


def test_the_wrapper_records_every_first_observation_and_changes_nothing():
    """Against Gymnasium's own vector of the same copies, read by hand."""

    def vector():
        return domains.make(domains.validate({"name": "cartpole"}), n_envs=3, part="train")

    bare, recorder = vector(), FirstObservationRecorder()
    recorded_vector = RecordFirstObservations(vector(), recorder)
    seeds = [5, 6, 7]
    first, obs = bare.reset(seed=seeds)[0], recorded_vector.reset(seed=seeds)[0]
    assert np.array_equal(first, obs)
    firsts = [*first]
    for t in range(200):
        actions = np.full(3, t % 2)
        recorded, plain = recorded_vector.step(actions), bare.step(actions)
        assert np.array_equal(recorded[0], plain[0])
        firsts += [plain[0][i] for i in np.flatnonzero(plain[2] | plain[3])]
    assert len(firsts) > 6
    expected = Fingerprints.from_hashes(*fingerprint_observations(np.array(firsts)))
    assert np.array_equal(recorder.fingerprints().exact, expected.exact)
    alone = gym.make("CartPole-v1")
    assert np.isin(hash_rows(alone.reset(seed=6)[0][None]), expected.exact).all()
