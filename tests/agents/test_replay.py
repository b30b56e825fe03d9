"""The replay buffer compared with a list of complete episodes: which transitions can be drawn, and their values."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.replay import ReplayBuffer
from tests.agents.replay_copies import (
    GAMMA,
    OPTIONS,
    Copies,
    InOrder,
    add_and_draw,
    assert_same,
    everything,
    filled_buffer,
    one_copy,
)

ROOT = Path(__file__).resolve().parents[2]


@settings(max_examples=150)
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
def test_drawable_transitions_match_the_definition(n_envs, n_step, spare, steps, end_rate, next_step, cut_rate, seed):
    slots = n_step + spare
    buffer = ReplayBuffer(slots * n_envs + n_envs - 1, n_envs, (2,), gamma=GAMMA, n_step=n_step)
    copies, rng = Copies(n_envs, seed, end_rate), np.random.default_rng(seed)
    for _ in range(steps):
        copies.step(buffer, next_step)
        assert_same(everything(buffer), copies.expected(slots, n_step))
        if rng.random() < cut_rate:
            copies.cut(buffer)
            assert_same(everything(buffer), copies.expected(slots, n_step))


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


def test_rows_after_a_termination_are_finite():
    buffer = one_copy([1], ["T"], n_step=3, storage="memory")
    assert np.isfinite(buffer.sample(1, InOrder()).next_obs).all()


def test_a_capacity_that_copies_do_not_divide_is_rounded_down_to_whole_rows():
    assert ReplayBuffer(1003, 8, (2,), gamma=GAMMA).size == 1000


# -- state -------------------------------------------------------------------------------------------------------------


def same(some, expected):
    return len(some) == len(expected) and all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name))
        for a, b in zip(some, expected, strict=True)
        for f in fields(a)
    )


@pytest.mark.parametrize("options", OPTIONS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 60), next_step=st.booleans(), dirty=st.booleans())
def test_a_buffer_that_was_restored_draws_the_same_to_the_bit(tmp_path_factory, options, seed, steps, next_step, dirty):
    from rl_eval import run

    folder = tmp_path_factory.mktemp("replay")
    buffer, copies, rng = filled_buffer(options, seed, steps, next_step, folder)
    arrays, meta = buffer.state()
    run.write_checkpoint(folder / "point", "state", arrays, meta)
    random = rng.bit_generator.state
    other, _, other_rng = filled_buffer(options, seed + 1, 40 if dirty else 0, next_step, folder)
    other.load_state(*run.read_checkpoint(folder / "point", "state"))
    other_rng.bit_generator.state = random
    assert len(other) == len(buffer)
    assert_same(everything_of(other), everything_of(buffer))
    drawn = add_and_draw(buffer, copies, rng, 40, next_step)
    again, _, _ = filled_buffer(options, seed, 0, next_step, folder)
    replayed = Copies(3, seed, 0.1)
    add_and_draw(again, replayed, np.random.default_rng(seed), steps, next_step)  # brings the environment there
    assert same(drawn, add_and_draw(other, replayed, other_rng, 40, next_step))


def everything_of(buffer):
    """As `everything`, of a buffer with priorities too."""
    arrays, _ = buffer.state()
    return {
        (i, name): arrays[name][i].tolist()
        for i in np.flatnonzero(arrays["available"]).tolist()
        for name in arrays
        if len(arrays[name]) == len(arrays["available"]) and name not in ("written", "open", "awaiting_final_obs")
    }


def test_a_state_is_views_of_what_is_filled():
    buffer = ReplayBuffer(1000, 2, (2,), gamma=GAMMA, priority_alpha=0.6)
    copies = Copies(2, 0, 0.1)
    for _ in range(30):
        copies.step(buffer, False)
    arrays, meta = buffer.state()
    assert json.loads(json.dumps(meta)) == meta
    assert len({len(arrays[name]) for name in ("obs", "actions", "rewards", "available", "priorities")}) == 1
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
    state = filled_buffer("prioritised", 0, 10, False, None)[0].state()
    settings_ = {"capacity": 90, "n_envs": 3, "obs_shape": (2,), "gamma": GAMMA, "n_step": 3, "priority_alpha": 0.6}
    with pytest.raises(ValueError, match=reason):
        ReplayBuffer(**settings_ | keywords).load_state(*state)


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
    buffer.add(*step, valid=np.array([True]))
    for valid in (None, np.array([True])):
        with pytest.raises(ValueError, match="must be that of a reset"):
            buffer.add(*step, valid=valid)


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
    print(*(f"{size / 1e6:.1f}" for size in (empty, arrays, filled, written, restored)), "MB")
    assert arrays == pytest.approx(1e6 * (8 * 4 + 8 + 4 + 1), rel=1e-3)
    assert max(filled, written, restored) <= arrays + 120e6  # the interpreter and the tree included
    assert written - filled < 5e6  # nothing was copied
    assert restored - filled < 5e6
