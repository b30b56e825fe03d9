"""Replay arrays in files: equal to those in memory, disk space reserved at once, failures in one sentence."""

import os
from pathlib import Path

import numpy as np
import pytest

from agents.replay import ReplayBuffer
from agents.replay_storage import CHUNK, reserve
from tests.agents.replay_copies import GAMMA, filled_buffer


def test_a_file_holds_what_memory_does_and_leaves_nothing_behind(tmp_path):
    buffers = [filled_buffer(options, 5, 80, False, tmp_path) for options in ("prioritised", "memmap")]
    arrays, others = (buffer.state()[0] for buffer, _, _ in buffers)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name])
        assert array.dtype == others[name].dtype
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_the_room_of_a_file_is_taken_at_once(tmp_path, monkeypatch):
    reserved, reserve = [], os.posix_fallocate

    def watched(descriptor, *arguments):
        reserve(descriptor, *arguments)
        reserved.append(os.fstat(descriptor).st_blocks * 512)

    monkeypatch.setattr(os, "posix_fallocate", watched)
    ReplayBuffer(10_000, 1, (16,), gamma=GAMMA, storage="memmap", folder=tmp_path)
    assert max(reserved) >= 10_000 * 16 * 4
    assert sum(reserved) >= 10_000 * (16 * 4 + 8 + 4 + 1 + 8)


def test_where_the_system_cannot_reserve_zeros_are_written(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    size = 2 * CHUNK + 5
    with open(tmp_path / "ring", "wb") as file:
        reserve(file, size)
        assert os.fstat(file.fileno()).st_blocks * 512 >= size
    assert (tmp_path / "ring").read_bytes() == bytes(size)
    (buffer, _, _), (expected, _, _) = (
        filled_buffer(options, 5, 80, False, tmp_path) for options in ("memmap", "prioritised")
    )
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
