"""`seen.npz` comes back as it was written, and a forged one is refused."""

import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.exposure import (
    Exposure,
    Fingerprints,
    exposure_file,
    fingerprint_observations,
    read_exposure,
    write_exposure,
)


def exposure_of_episodes(**changes):
    """A small record of episodes; `changes` replace its parts."""
    train, validation = (
        Fingerprints.from_hashes(*fingerprint_observations(np.arange(n, dtype=float)[:, None])) for n in (5, 2)
    )
    values = {"cases": False, "train": train, "validation": validation, "train_seeds": np.arange(4), "unrecorded": 0}
    return Exposure(**{**values, "validation_seeds": np.arange(7, 9), **changes})


@given(st.lists(st.integers(0, 2**64 - 1), max_size=9, unique=True), st.booleans(), st.integers(0, 2**40))
def test_a_record_comes_back_as_it_was(tmp_path_factory, hashes, cases, unrecorded):
    folder = tmp_path_factory.mktemp("seen")
    exact = np.array(hashes, np.uint64)
    fingerprints = Fingerprints.from_hashes(exact, np.stack([exact ^ np.uint64(1), exact], axis=1))
    write_exposure(folder, exposure_of_episodes(cases=cases, train=fingerprints, unrecorded=unrecorded))
    back = read_exposure(folder)
    assert (back.cases, back.unrecorded) == (cases, unrecorded)
    for name in ("exact", "views", "counts"):
        assert getattr(back.train, name).tolist() == getattr(fingerprints, name).tolist()
    assert sorted(back.train.exact.tolist()) == back.train.exact.tolist()
    assert [file.name for file in folder.iterdir()] == ["seen.npz"]
    with np.load(folder / "seen.npz", allow_pickle=False) as plain:  # for any other program too
        assert plain["train"].tolist() == fingerprints.exact.tolist()


def test_a_record_of_cases_without_views_comes_back_and_can_be_merged(tmp_path):
    exact = np.arange(6, dtype=np.uint64)
    parts = [Fingerprints.from_hashes(exact[rows], np.empty((3, 0), np.uint64)) for rows in (slice(3), slice(3, 6))]
    write_exposure(tmp_path, exposure_of_episodes(cases=True, train=parts[0], validation=parts[1]))
    back = read_exposure(tmp_path)
    assert back.train.merge(back.validation).exact.tolist() == exact.tolist()


def test_a_run_without_a_record_has_none(tmp_path):
    assert read_exposure(tmp_path) is None


def forge(folder, **changes):
    """A `seen.npz` with members replaced: arrays, raw bytes, or None to leave one out."""
    write_exposure(folder, exposure_of_episodes())
    with zipfile.ZipFile(folder / "seen.npz") as archive:
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            stream = io.BytesIO()
            np.save(stream, value, allow_pickle=True)
            value = stream.getvalue()
        members[name] = value
    with zipfile.ZipFile(folder / "seen.npz", "w") as archive:
        for name, payload in members.items():
            if payload is not None:
                archive.writestr(f"{name}.npy", payload)


def _header(text):
    text = text.ljust(118) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


class Bomb:
    """Would write a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


PLAIN = "train is not a plain one-dimensional array"
ADVERSARIES = {
    "object array": ({"train": np.array([Bomb("unpickled")], object)}, r"train has the type \|O instead of <u8"),
    "another dtype": ({"train": np.zeros(5)}, "train has the type <f8 instead of <u8"),
    "huge claim": (
        {"train": _header("{'descr': '<u8', 'fortran_order': False, 'shape': (1000000000000,), }")},
        "train should have 1000000000000 values and has 0 bytes",
    ),
    "negative claim": ({"train": _header("{'descr': '<u8', 'fortran_order': False, 'shape': (-1,), }")}, PLAIN),
    "two dimensions": ({"train": np.zeros((5, 1), np.uint64)}, PLAIN),
    "code in the header": ({"train": _header("__import__('os').abort()")}, PLAIN),
    "unfinished header": ({"train": _header("{'descr': (")}, PLAIN),
    "nested header": ({"train": _header("[" * 100)}, PLAIN),
    "no header": ({"train": b""}, PLAIN),
    "another version": ({"train": b"\x93NUMPY\x03\x00"}, PLAIN),
    "missing array": ({"select": None}, "it has 10 arrays instead of schema, cases"),
    "one too many": ({"more": np.zeros(1)}, "it has 12 arrays"),
    "another schema": ({"schema": np.array([1])}, "it has schema 1, not 2"),
    "no schema": ({"schema": np.zeros(0, np.int64)}, "schema has 0 values instead of one"),
    "uneven": ({"train_views": np.zeros(4, np.uint64)}, "fingerprints of different counts in train"),
}


@pytest.mark.parametrize(("changes", "message"), ADVERSARIES.values(), ids=ADVERSARIES)
def test_a_forged_record_is_refused_by_name(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    forge(tmp_path, **changes)
    with pytest.raises(InputError, match=rf"seen\.npz .*{message}"):
        read_exposure(tmp_path)
    assert not (tmp_path / "unpickled").exists()


def test_a_record_cut_short_anywhere_is_refused(tmp_path):
    write_exposure(tmp_path, exposure_of_episodes())
    content = (tmp_path / "seen.npz").read_bytes()
    for size in range(0, len(content), 37):
        (tmp_path / "seen.npz").write_bytes(content[:size])
        with pytest.raises(InputError, match="damaged or from another program; train again"):
            read_exposure(tmp_path)


@settings(max_examples=200)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(tmp_path_factory, place, change):
    folder = tmp_path_factory.getbasetemp() / "changed"
    folder.mkdir(exist_ok=True)
    write_exposure(folder, exposure_of_episodes())
    content = bytearray((folder / "seen.npz").read_bytes())
    content[place % len(content)] ^= change
    (folder / "seen.npz").write_bytes(content)
    try:
        back = read_exposure(folder)
    except InputError:
        return
    assert np.array_equal(back.train.exact, exposure_of_episodes().train.exact)


def test_a_bomb_a_giant_and_things_that_are_no_file_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "seen.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in exposure_file._MEMBERS:
            archive.writestr(f"{name}.npy", bytes(10_000_000))
    with pytest.raises(InputError, match="is compressed"):
        read_exposure(tmp_path)
    with open(tmp_path / "seen.npz", "wb") as file:
        file.truncate(exposure_file._MAX_BYTES + 1)
    with pytest.raises(InputError, match="is larger than"):
        read_exposure(tmp_path)
    (tmp_path / "seen.npz").unlink()
    os.mkfifo(tmp_path / "seen.npz")
    with pytest.raises(InputError, match="is not a plain file"):
        read_exposure(tmp_path)
    (tmp_path / "seen.npz").unlink()
    (tmp_path / "seen.npz").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is not a plain file"):
        read_exposure(tmp_path)


@pytest.mark.parametrize("width", [0, 1, 8])
def test_records_are_joined_after_they_were_read(tmp_path, width):
    exact = np.arange(3, dtype=np.uint64)
    train = Fingerprints.from_hashes(exact, np.arange(3 * width, dtype=np.uint64).reshape(3, width))
    written = exposure_of_episodes(cases=True, train=train, validation=Fingerprints.empty())
    write_exposure(tmp_path, written)
    back = read_exposure(tmp_path)
    assert (back.train.views.shape, len(back.validation)) == ((3, width), 0)
    assert (back.has_views(width), back.has_views(width + 1)) == (True, False)
    union = back.union(written)
    assert union.train.counts.tolist() == [2, 2, 2]
    assert np.array_equal(union.train.views, train.views)
    assert len(union.validation) == 0


def test_a_union_holds_what_either_used(monkeypatch):
    first = exposure_of_episodes(unrecorded=3)
    other = exposure_of_episodes(
        train=Fingerprints.from_hashes(*fingerprint_observations(np.arange(4, 9, dtype=float)[:, None])),
        train_seeds=np.arange(2, 6),
    )
    union = first.union(other)
    assert set(union.train.exact) == {*first.train.exact, *other.train.exact}
    assert union.train.counts.sum() == first.train.counts.sum() + other.train.counts.sum()
    assert union.train_seeds.tolist() == [0, 1, 2, 3, 4, 5]
    assert union.unrecorded == 3
    monkeypatch.setattr(exposure_file, "MAX_ENTRIES", 4)
    limited = first.union(other)
    assert (len(limited.train), limited.unrecorded) == (4, 3 + int(union.train.counts[4:].sum()))
