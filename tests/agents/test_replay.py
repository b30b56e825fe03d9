"""The replay buffer beside a list of whole episodes: what can be drawn, and every number of it."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.replay import PIECE, PRIORITY_EPSILON, ReplayBuffer, reserve

ROOT = Path(__file__).resolve().parents[2]
GAMMA = 0.75
NOWHERE = -1.0  # the observation after a termination, which is not read
Row = namedtuple("Row", "obs action reward end next_obs step")  # end: "", "terminated" or "truncated"


class InOrder:
    """Draws every slot once, in order, so that a batch of the whole buffer is all there is in it."""

    def integers(self, high, size):
        return np.arange(size) % high


class Copies:
    """N copies of an environment whose observations are all different, beside a list of what each went through."""

    def __init__(self, n_envs, seed, end_rate):
        self.rng, self.n, self.end_rate = np.random.default_rng(seed), n_envs, end_rate
        self.seen = 0
        self.obs = self.new()
        self.ended = np.zeros(n_envs, bool)  # and not reset yet, where that takes a step
        self.rows = [[] for _ in range(n_envs)]  # of each copy, what takes a slot: a Row, or None for a filler
        self.steps = 0

    def new(self):
        self.seen += self.n
        return np.stack([np.arange(self.seen - self.n, self.seen)] * 2, axis=1).astype(np.float32)

    def step(self, buffer, next_step):
        rng, n = self.rng, self.n
        real = ~self.ended
        ends = rng.choice(["", "terminated", "truncated", "both"], n, p=[1 - 3 * self.end_rate, *[self.end_rate] * 3])
        ends[~real] = ""
        terminated, truncated = np.isin(ends, ["terminated", "both"]), np.isin(ends, ["truncated", "both"])
        ends[ends == "both"] = "terminated"
        actions, rewards = rng.integers(0, 5, n), rng.normal(size=n).astype(np.float32)
        after, first = self.new(), self.new()
        if next_step:
            buffer.add(self.obs, actions, rewards, terminated, truncated, None, real)
        else:
            final = np.where(truncated[:, None], after, np.nan)  # read nowhere else
            buffer.add(self.obs, actions, rewards, terminated, truncated, final if truncated.any() else None)
        self.steps += real.sum()
        for i in range(n):
            if real[i]:
                self.rows[i].append(Row(self.obs[i, 0], actions[i], rewards[i], ends[i], after[i, 0], self.steps))
                if ends[i] == "truncated" and not next_step:
                    self.rows[i].append(None)
            elif self.rows[i] and self.rows[i][-1] is not None and self.rows[i][-1].end == "truncated":
                self.rows[i].append(None)
        done = terminated | truncated
        if next_step:  # `after` is returned, and the reset comes with the step after it
            self.obs = np.where(self.ended[:, None], first, after)
            self.ended = done
        else:
            self.obs = np.where(done[:, None], first, after)

    def cut(self, buffer):
        buffer.cut(self.obs)
        for rows in self.rows:
            if rows and rows[-1] is not None and rows[-1].end != "terminated":
                rows[-1] = rows[-1]._replace(end="truncated")
                rows.append(None)
        self.obs, self.ended = self.new(), np.zeros(self.n, bool)

    def expected(self, slots, n_step):
        """Every transition that can be drawn, by its observation: the definition, one step after the other."""
        found = {}
        for rows in self.rows:
            kept = rows[-slots:]
            for i, row in enumerate(kept):
                if row is None:
                    continue
                total, discount = 0.0, 1.0
                for k, at in enumerate(kept[i : i + n_step]):
                    total += discount * float(at.reward)
                    discount *= GAMMA
                    come = i + k + 1 < len(kept)  # the slot that holds the observation it led to
                    if at.end == "terminated":
                        found[row.obs] = (row.action, total, NOWHERE, 0.0, self.steps - row.step)
                    elif (at.end or k == n_step - 1) and come:
                        found[row.obs] = (row.action, total, at.next_obs, discount, self.steps - row.step)
                    if at.end:
                        break
        return found


def everything(buffer):
    """Every transition that can be drawn, by its observation."""
    if not len(buffer):
        return {}
    batch = buffer.sample(len(buffer), InOrder())
    np.testing.assert_array_equal(batch.obs[:, 0], batch.obs[:, 1])
    np.testing.assert_array_equal(batch.next_obs[:, 0], batch.next_obs[:, 1])
    assert_known_by_slot_and_time(buffer, batch)
    found = {
        obs[0]: (action, total, after[0] if discount else NOWHERE, discount, age)
        for obs, action, total, after, discount, age in zip(
            batch.obs, batch.actions, batch.returns, batch.next_obs, batch.discounts, batch.age, strict=True
        )
    }
    assert len(found) == len(buffer) == len(set(batch.index.tolist()))
    return found


def assert_known_by_slot_and_time(buffer, batch):
    """A slot and when it was written say which observation it is, for as long as the buffer is used."""
    np.testing.assert_array_equal(buffer.state()[0]["obs"][batch.next_index], batch.next_obs)
    known = buffer.__dict__.setdefault("known", {})
    for slot, written, obs in zip(batch.next_index, batch.next_written, batch.next_obs[:, 0], strict=True):
        assert known.setdefault((slot, written), obs) == obs


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for obs, values in expected.items():
        assert found[obs] == pytest.approx(values, rel=1e-5, abs=1e-6), obs


@settings(deadline=None, max_examples=150)
@given(
    n_envs=st.integers(1, 4),
    n_step=st.integers(1, 5),
    spare=st.integers(1, 12),
    steps=st.integers(1, 60),
    end_rate=st.sampled_from([0.0, 0.05, 0.15, 0.33]),
    next_step=st.booleans(),
    cut_rate=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**32),
)
def test_what_can_be_drawn_is_what_the_definition_says(
    n_envs, n_step, spare, steps, end_rate, next_step, cut_rate, seed
):
    slots = n_step + spare
    buffer = ReplayBuffer(slots * n_envs + n_envs - 1, n_envs, (2,), gamma=GAMMA, n_step=n_step)
    copies, rng = Copies(n_envs, seed, end_rate), np.random.default_rng(seed)
    for _ in range(steps):
        copies.step(buffer, next_step)
        assert_same(everything(buffer), copies.expected(slots, n_step))
        if rng.random() < cut_rate:
            copies.cut(buffer)
            assert_same(everything(buffer), copies.expected(slots, n_step))


def one_copy(rewards, ends, n_step, capacity=20, **keywords):
    """A buffer of one copy whose observations are 0, 1, 2, …, and those that episodes ended on 100, 101, …."""
    buffer = ReplayBuffer(capacity, 1, (), gamma=0.5, n_step=n_step, **keywords)
    for t, (reward, end) in enumerate(zip(rewards, ends, strict=True)):
        buffer.add(*np.array([[t], [t], [reward]], float), [end == "T"], [end == "C"], np.array([100.0 + t]))
    return buffer


def test_hand_worked_table():
    """γ = 1/2, two steps; step 2 is truncated, step 4 terminates, and what comes of step 6 is not known yet."""
    buffer = one_copy([8, 4, 2, 16, 4, 1, 1], [" ", " ", "C", " ", "T", " ", " "], n_step=2)
    batch = buffer.sample(5, InOrder())
    assert batch.obs.tolist() == batch.actions.tolist() == [0, 1, 2, 3, 4]
    #                                 8 + 4/2, 4 + 2/2, 2, 16 + 4/2, 4
    assert batch.returns.tolist() == [10, 5, 2, 18, 4]
    assert batch.next_obs[:3].tolist() == [2, 102, 102]
    assert batch.discounts.tolist() == [0.25, 0.25, 0.5, 0, 0]
    assert batch.weights.tolist() == [1] * 5
    assert batch.age.tolist() == [6, 5, 4, 3, 2]
    assert len(buffer) == 5  # steps 5 and 6 need the observation after 6


def test_with_one_step_it_is_the_one_step_target():
    buffer = one_copy([8, 4, 2, 16], [" ", "T", "C", " "], n_step=1)
    batch = buffer.sample(3, InOrder())
    assert batch.returns.tolist() == [8, 4, 2]
    assert batch.discounts.tolist() == [0.5, 0, 0.5]
    assert batch.next_obs[[0, 2]].tolist() == [1, 102]


def test_the_ring_keeps_the_dtype_of_the_environment():
    """A frame stays bytes, and a reward that float32 cannot hold exactly is rounded once."""
    buffer = ReplayBuffer(8, 2, (2, 3), obs_dtype=np.uint8, action_dtype=np.int8, gamma=0.5, n_step=2)
    frames = np.arange(24, dtype=np.float64).reshape(4, 1, 2, 3).repeat(2, axis=1) * 10
    for t in range(3):
        buffer.add(frames[t], np.array([t, -t]), np.array([0.1, 2.0**30]), np.zeros(2), np.zeros(2))
    batch = buffer.sample(2, InOrder())
    assert (batch.obs.dtype, batch.next_obs.dtype, batch.actions.dtype) == (np.uint8, np.uint8, np.int8)
    np.testing.assert_array_equal(batch.next_obs[0], frames[2, 0])
    assert batch.returns.tolist() == [np.float32(1.5 * np.float64(np.float32(0.1))), 1.5 * 2.0**30]
    assert batch.returns.dtype == batch.discounts.dtype == np.float32


def test_what_comes_after_a_termination_is_finite_though_nothing_was_written_there():
    buffer = one_copy([1], ["T"], n_step=3, storage="memory")
    assert np.isfinite(buffer.sample(1, InOrder()).next_obs).all()


def test_a_capacity_that_copies_do_not_divide_is_rounded_down_to_whole_rows():
    assert ReplayBuffer(1003, 8, (2,), gamma=GAMMA).size == 1000


# -- priorities --------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32), st.booleans())
def test_exactly_what_can_be_drawn_has_a_priority(n_envs, n_step, seed, next_step):
    buffer = ReplayBuffer(20 * n_envs, n_envs, (2,), gamma=GAMMA, n_step=n_step, priority_alpha=0.6)
    copies, rng = Copies(n_envs, seed, 0.1), np.random.default_rng(seed)
    largest = 1.0
    before: dict[int, float] = {}
    for _ in range(50):
        copies.step(buffer, next_step)
        arrays, _ = buffer.state()
        drawable = np.flatnonzero(arrays["ready"])
        np.testing.assert_array_equal(drawable, np.flatnonzero(arrays["priorities"]))
        assert len(drawable) == len(buffer)
        now = {arrays["obs"][i, 0]: arrays["priorities"][i] for i in drawable}
        for obs, priority in now.items():  # one that is new has the largest there has been, others keep theirs
            assert priority == pytest.approx(before.get(obs, largest), rel=1e-12)
        before = now
        if len(buffer) >= 4:
            batch = buffer.sample(4, rng, beta=0.5)
            errors = rng.exponential(3.0, size=4) * rng.choice([-1, 1], 4)
            buffer.update_priorities(batch.index, errors)
            for index, error in zip(batch.index, errors, strict=True):  # where one was drawn twice, the last counts
                before[arrays["obs"][index, 0]] = (abs(error) + PRIORITY_EPSILON) ** 0.6
                largest = max(largest, before[arrays["obs"][index, 0]])


def prioritised(errors, alpha=1.0):
    """A buffer of as many transitions, with these TD errors."""
    buffer = one_copy([0] * (len(errors) + 1), " " * (len(errors) + 1), n_step=1, priority_alpha=alpha)
    buffer.update_priorities(np.arange(len(errors)), np.array(errors) - PRIORITY_EPSILON)
    return buffer


class Evenly:
    """Draws the middle of the first, second, … of some equal parts."""

    def __init__(self, parts):
        self.draws = iter((np.arange(parts) + 0.5) / parts)

    def random(self, size):
        return np.array([next(self.draws) for _ in range(size)])


def test_with_beta_1_the_weighted_mean_of_what_is_drawn_is_the_mean_of_the_buffer():
    """Ten draws that hold each in exact proportion to its priority: Σ w f / Σ w = f̄, and Σ w f / 10 is f̄ times what
    does not depend on the draws: 4 transitions times the least priority over the total."""
    buffer, rng = prioritised([1, 2, 3, 4]), Evenly(10)
    batches = [buffer.sample(1, rng, beta=1.0) for _ in range(10)]
    index, weights = (np.concatenate([getattr(b, name) for b in batches]) for name in ("index", "weights"))
    assert index.tolist() == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    drawn = np.array([5.0, -7.0, 11.0, 3.0])[index]  # 3 on average
    assert np.sum(weights * drawn) / np.sum(weights) == pytest.approx(3, rel=1e-6)
    assert np.mean(weights * drawn) == pytest.approx(3 * 4 * 1 / 10, rel=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.6, 0.4), (0.5, 0.0), (0.0, 1.0)])
def test_weights_are_those_of_the_paper(alpha, beta):
    errors = np.array([1.0, 2.0, 3.0, 4.0, 0.25])
    batch = prioritised(errors, alpha).sample(5, np.random.default_rng(0), beta=beta)
    probability = errors**alpha / np.sum(errors**alpha)
    weights = (1 / (5 * probability)) ** beta
    np.testing.assert_allclose(batch.weights, (weights / weights.max())[batch.index], rtol=1e-6)


def test_transitions_are_drawn_in_proportion_to_their_priorities():
    from scipy import stats

    errors = np.arange(1.0, 13.0)
    buffer, rng = prioritised(errors, 0.7), np.random.default_rng(0)
    counts = np.bincount(np.concatenate([buffer.sample(1, rng).index for _ in range(5000)]), minlength=12)
    assert stats.chisquare(counts, 5000 * errors**0.7 / np.sum(errors**0.7)).pvalue > 1e-3


def test_without_priorities_every_transition_is_as_likely():
    from scipy import stats

    # A wrapped ring with many fillers and unfinished returns, which are drawn over.
    buffer, copies, rng = ReplayBuffer(120, 3, (2,), gamma=GAMMA, n_step=4), Copies(3, 1, 0.1), np.random.default_rng(0)
    for _ in range(90):
        copies.step(buffer, False)
    drawn = np.concatenate([buffer.sample(60, rng).index for _ in range(500)])
    assert len(np.unique(drawn)) == len(buffer) < 120
    assert stats.chisquare(np.unique(drawn, return_counts=True)[1]).pvalue > 1e-3


def test_a_priority_for_what_is_not_there_any_more_does_not_bring_it_back():
    buffer = one_copy([1] * 20, " " * 20, n_step=3, priority_alpha=1.0)
    before = len(buffer)
    buffer.update_priorities(np.arange(20), np.full(20, 9.0))
    batch = buffer.sample(before, np.random.default_rng(0))
    assert batch.index.max() == 16  # the newest three lack what they led to
    assert len(buffer) == before == 17


def test_a_priority_that_is_not_a_number_is_refused():
    buffer = prioritised([1, 2, 3])
    with pytest.raises(ValueError, match="is nan: it must lie in"):
        buffer.update_priorities(np.array([0]), np.array([np.nan]))
    assert buffer.state()[0]["priorities"][0] == 1.0


# -- state -------------------------------------------------------------------------------------------------------------

MAKINGS = {
    "uniform": {"priority_alpha": None},
    "prioritised": {"priority_alpha": 0.6},
    "memmap": {"priority_alpha": 0.6, "storage": "memmap"},
}


def worked(making, seed, steps, next_step, folder):
    """A buffer that has been added to and drawn from, its environment, and its generator."""
    keywords = MAKINGS[making] | ({"folder": folder} if making == "memmap" else {})
    buffer = ReplayBuffer(90, 3, (2,), gamma=GAMMA, n_step=3, **keywords)
    copies, rng = Copies(3, seed, 0.1), np.random.default_rng(seed)
    work(buffer, copies, rng, steps, next_step)
    return buffer, copies, rng


def work(buffer, copies, rng, steps, next_step):
    drawn = []
    for _ in range(steps):
        copies.step(buffer, next_step)
        if len(buffer) >= 8:
            batch = buffer.sample(8, rng, beta=0.4)
            buffer.update_priorities(batch.index, rng.exponential(size=8))
            drawn.append(batch)
    return drawn


def same(some, others):
    return len(some) == len(others) and all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name))
        for a, b in zip(some, others, strict=True)
        for f in fields(a)
    )


@pytest.mark.parametrize("making", MAKINGS)
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60), next_step=st.booleans(), dirty=st.booleans())
def test_a_buffer_that_was_restored_draws_the_same_to_the_bit(tmp_path_factory, making, seed, steps, next_step, dirty):
    from rl_eval import run

    folder = tmp_path_factory.mktemp("replay")
    buffer, copies, rng = worked(making, seed, steps, next_step, folder)
    arrays, meta = buffer.state()
    run.write_checkpoint(folder / "point", "state", arrays, meta)
    random = rng.bit_generator.state
    other, _, other_rng = worked(making, seed + 1, 40 if dirty else 0, next_step, folder)
    other.load_state(*run.read_checkpoint(folder / "point", "state"))
    other_rng.bit_generator.state = random
    assert len(other) == len(buffer)
    assert_same(everything_of(other), everything_of(buffer))
    drawn = work(buffer, copies, rng, 40, next_step)
    again, _, _ = worked(making, seed, 0, next_step, folder)
    replayed = Copies(3, seed, 0.1)
    work(again, replayed, np.random.default_rng(seed), steps, next_step)  # brings the environment there
    assert same(drawn, work(other, replayed, other_rng, 40, next_step))


def everything_of(buffer):
    """As `everything`, of a buffer with priorities too."""
    arrays, _ = buffer.state()
    return {
        (i, name): arrays[name][i].tolist()
        for i in np.flatnonzero(arrays["ready"]).tolist()
        for name in arrays
        if len(arrays[name]) == len(arrays["ready"]) and name not in ("written", "open", "unfinished")
    }


def test_a_state_is_views_of_what_is_filled():
    buffer = ReplayBuffer(1000, 2, (2,), gamma=GAMMA, priority_alpha=0.6)
    copies = Copies(2, 0, 0.1)
    for _ in range(30):
        copies.step(buffer, False)
    arrays, meta = buffer.state()
    assert json.loads(json.dumps(meta)) == meta
    assert len({len(arrays[name]) for name in ("obs", "actions", "rewards", "ready", "priorities")}) == 1
    assert 60 <= len(arrays["obs"]) < 120
    before = arrays["obs"].copy()
    for _ in range(480):
        copies.step(buffer, False)
    assert not np.array_equal(arrays["obs"], before)  # a copy would still be what it was
    assert all(array.flags.c_contiguous and array.base is not None for array in arrays.values() if array.size > 2)
    assert len(buffer.state()[0]["obs"]) == 1000


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"capacity": 60}, "size=90 does not fit size=60"),
        ({"n_step": 2}, "n_step=3 does not fit n_step=2"),
        ({"obs_shape": (3,)}, r"obs of a replay buffer, float32 \(\d+, 2\), do not fit float32 \(\d+, 3\)"),
        ({"obs_dtype": np.uint8}, "do not fit uint8"),
        ({"action_shape": (1,)}, "actions of a replay buffer"),
    ],
)
def test_a_state_of_another_buffer_is_refused(keywords, reason):
    state = worked("prioritised", 0, 10, False, None)[0].state()
    settings_ = {"capacity": 90, "n_envs": 3, "obs_shape": (2,), "gamma": GAMMA, "n_step": 3, "priority_alpha": 0.6}
    with pytest.raises(ValueError, match=reason):
        ReplayBuffer(**settings_ | keywords).load_state(*state)


# -- storage -----------------------------------------------------------------------------------------------------------


def test_a_file_holds_what_memory_does_and_leaves_nothing_behind(tmp_path):
    buffers = [worked(making, 5, 80, False, tmp_path) for making in ("prioritised", "memmap")]
    arrays, others = (buffer.state()[0] for buffer, _, _ in buffers)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])
        assert array.dtype == others[name].dtype
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_the_room_of_a_file_is_taken_at_once(tmp_path, monkeypatch):
    taken, reserve = [], os.posix_fallocate

    def watched(descriptor, *arguments):
        reserve(descriptor, *arguments)
        taken.append(os.fstat(descriptor).st_blocks * 512)

    monkeypatch.setattr(os, "posix_fallocate", watched)
    ReplayBuffer(10_000, 1, (16,), gamma=GAMMA, storage="memmap", folder=tmp_path)
    assert max(taken) >= 10_000 * 16 * 4
    assert sum(taken) >= 10_000 * (16 * 4 + 8 + 4 + 1 + 8)


def test_where_the_system_cannot_reserve_zeros_are_written(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    size = 2 * PIECE + 5
    with open(tmp_path / "ring", "wb") as file:
        reserve(file, size)
        assert os.fstat(file.fileno()).st_blocks * 512 >= size
    assert (tmp_path / "ring").read_bytes() == bytes(size)
    (buffer, _, _), (expected, _, _) = (worked(making, 5, 80, False, tmp_path) for making in ("memmap", "prioritised"))
    np.testing.assert_array_equal(buffer.state()[0]["obs"], expected.state()[0]["obs"])


@pytest.mark.parametrize("place", ["missing", "file"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=rf"{place} cannot hold the replay buffer \(No.*\): name another folder, or"):
        ReplayBuffer(10, 1, (2,), gamma=GAMMA, storage="memmap", folder=tmp_path / place)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path):
    if os.geteuid() == 0:
        place = Path("/proc")  # nobody can make files there, root neither
    else:
        place = tmp_path
        place.chmod(0o500)
    with pytest.raises(ValueError, match=r"(bytes free|cannot hold the replay buffer).*name another folder"):
        ReplayBuffer(10, 1, (2,), gamma=GAMMA, storage="memmap", folder=place)


def test_a_folder_without_room_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"bytes free, and the replay buffer needs 40,000,000,000,000: name another"):
        ReplayBuffer(1_000_000, 1, (10_000_000,), gamma=GAMMA, storage="memmap", folder=tmp_path)


def test_a_disk_that_fills_up_as_its_room_is_taken_is_refused(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=r"cannot hold the replay buffer \(No space left on device\)"):
        ReplayBuffer(10, 1, (2,), gamma=GAMMA, storage="memmap", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "reason"),
    [
        ({"n_envs": 0}, "n_envs=0"),
        ({"n_step": 0}, "n_step=0"),
        ({"gamma": 1.5}, "gamma=1.5"),
        ({"priority_alpha": -0.1}, "priority_alpha=-0.1"),
        ({"priority_alpha": float("nan")}, "priority_alpha=nan"),
        ({"capacity": 15, "n_envs": 4, "n_step": 3}, "make it at least 16"),
        ({"storage": "memmap"}, "folder"),
    ],
)
def test_bad_settings_are_refused_in_a_sentence(keywords, reason):
    with pytest.raises(ValueError, match=reason) as error:
        ReplayBuffer(**{"capacity": 100, "n_envs": 1, "obs_shape": (2,), "gamma": GAMMA} | keywords)
    assert "\n" not in str(error.value)


def test_the_smallest_capacity_that_is_let_through_works():
    buffer = one_copy(range(50), " " * 50, n_step=3, capacity=4)
    assert len(buffer) == 1
    assert buffer.sample(1, InOrder()).obs == [46]


def test_a_batch_larger_than_the_buffer_is_refused():
    buffer = one_copy([1, 1, 1], "   ", n_step=1)
    with pytest.raises(ValueError, match="a batch of 3 from 2 transitions"):
        buffer.sample(3, np.random.default_rng(0))


def test_a_truncation_must_say_what_the_episode_ended_on():
    buffer = ReplayBuffer(10, 1, (), gamma=GAMMA)
    step = (np.zeros(1), np.zeros(1), np.zeros(1), [False], [True])
    with pytest.raises(ValueError, match="final_obs"):
        buffer.add(*step)
    buffer.add(*step, real=np.array([True]))
    for real in (None, np.array([True])):
        with pytest.raises(ValueError, match="filler"):
            buffer.add(*step, real=real)


# -- memory ------------------------------------------------------------------------------------------------------------

FILL = """
import sys
from pathlib import Path
import numpy as np
from agents.replay import ReplayBuffer
from rl_eval import run
steps, folder = int(sys.argv[1]), Path(sys.argv[2])
def memory(name):
    return [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith(name)][0]
buffer = ReplayBuffer(1_000_000, 64, (8,), gamma=.99, n_step=3, priority_alpha=.6)
rng = np.random.default_rng(0)
obs, zeros, never = np.ones((64, 8), np.float32), np.zeros(64), np.zeros(64, bool)
for step in range(steps):
    buffer.add(obs, zeros, zeros, never, never)
    if step % 100 == 99:
        batch = buffer.sample(256, rng, beta=.5)
        buffer.update_priorities(batch.index, rng.random(256))
arrays, meta = buffer.state()
print(sum(arrays[name].nbytes for name in ("obs", "actions", "rewards", "ends")), memory("VmHWM"))
if steps:
    run.write_checkpoint(folder / "point", "state", arrays, meta)
    print(memory("VmHWM"))
    arrays, meta = run.read_checkpoint(folder / "point", "state", mapped=True)
    buffer.load_state(arrays, meta)
    print(memory("RssAnon"))  # the pages of the file that are mapped can be given up at any time
"""


@pytest.mark.verify
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_million_transitions_take_little_more_than_their_arrays(tmp_path):
    def run(steps):
        command = [sys.executable, "-c", FILL, str(steps), str(tmp_path)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return [int(number) for number in done.stdout.split()]

    _, empty = run(0)
    arrays, filled, written, restored = run(17_000)  # fills it, and wraps
    print(*(f"{each / 1e6:.1f}" for each in (empty, arrays, filled, written, restored)), "MB")
    assert arrays == pytest.approx(1e6 * (8 * 4 + 8 + 4 + 1), rel=1e-3)
    assert max(filled, written, restored) <= arrays + 120e6  # the interpreter and the tree included
    assert written - filled < 5e6  # nothing was copied
    assert restored - filled < 5e6
