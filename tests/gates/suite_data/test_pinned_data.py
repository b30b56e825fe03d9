"""`data_sha256` pins the data that a suite judges on."""

from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains import domain, validate
from rl_eval.errors import InputError
from rl_eval.gates.suite_data import data_sha256
from tests.gates.suite_data.months import CSV, judge, write_csv, write_suite


@settings(max_examples=25)
@given(position=st.integers(0, 2**20), flip=st.integers(1, 255))
def test_one_changed_byte_of_pinned_data_is_refused(tmp_path_factory, position, flip):
    folder = tmp_path_factory.mktemp("pinned")
    data = write_csv(folder / "flows.csv", "jan", rows=100)
    text = data.read_bytes()
    pin = hashlib.sha256(text).hexdigest()
    suite = write_suite(folder / "s.yaml", env={"path": str(data)}, data_sha256=pin, leaks="report")
    assert judge(suite, "constant:0")[0].decision == "FAIL"
    at = position % len(text)
    data.write_bytes(text[:at] + bytes([text[at] ^ flip]) + text[at + 1 :])
    f1, _ = judge(suite, "constant:0")
    assert f1.decision == "ERROR"
    assert pin in f1.detail


def test_pinned_data_with_an_old_size_and_time_is_read_again(tmp_path):
    data = write_csv(tmp_path / "flows.csv", "jan", rows=200)
    good, times = data.read_bytes(), data.stat()
    keys = {"env": {"path": str(data)}, "leaks": "report"}
    pinned = write_suite(tmp_path / "s.yaml", data_sha256=hashlib.sha256(good).hexdigest(), **keys)
    expected = domain("threat").fingerprints(pinned.judged)
    flipped = b"".join(
        line[:-2] + bytes([line[-2] ^ 1]) + b"\n" if line[-2:-1] in b"01" else line for line in good.splitlines(True)
    )

    def replace_content(content):
        """Other content with the first size and time; again, where the clock of the file system has not gone on."""
        before = data.stat().st_ctime_ns
        while data.stat().st_ctime_ns == before:
            data.write_bytes(content)
            os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))

    replace_content(flipped)
    assert domain("threat").fingerprints(write_suite(tmp_path / "t.yaml", **keys).judged) != expected
    replace_content(good)
    assert domain("threat").fingerprints(pinned.judged) == expected
    assert (data.stat().st_size, data.stat().st_mtime_ns) == (times.st_size, times.st_mtime_ns)
    replace_content(flipped)
    assert domain("threat").fingerprints(pinned.judged) != expected


def test_the_data_of_a_run_must_be_the_pinned_data(months, tmp_path):
    folder, run = months
    pins = {month: hashlib.sha256((folder / f"{month}.csv").read_bytes()).hexdigest() for month in ("jan", "feb")}
    f1, _ = judge(write_suite(tmp_path / "jan.yaml", data_sha256=pins["jan"]), run.path)
    assert f1.decision == "PASS"
    f1, _ = judge(write_suite(tmp_path / "feb.yaml", data_sha256=pins["feb"]), run.path)
    assert (f1.decision, pins["jan"] in f1.detail) == ("ERROR", True)


def test_what_can_be_pinned(tmp_path):
    assert data_sha256(validate({"name": "cartpole"})) is None
    small = {"name": "threat", "train_flows": 200, "validation_flows": 200, "test_flows": 200}
    generated = [data_sha256(validate({**small, "data_seed": seed})) for seed in (0, 1, 0)]
    assert generated[0] == generated[2] != generated[1]
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "b.csv").write_text("2")
    several = data_sha256(validate({"name": "qase", "data": "qase", "path": str(tmp_path)}))
    lines = "".join(
        f"{hashlib.sha256(text).hexdigest()}  {name}\n" for text, name in ((b"1", "a.csv"), (b"2", "b.csv"))
    )
    assert several == hashlib.sha256(lines.encode()).hexdigest()


def test_a_pin_of_several_files_says_which_is_the_test_set(tmp_path):
    jan, feb = (str(write_csv(tmp_path / f"{month}.csv", month, rows=20)) for month in ("jan", "feb"))
    pins = [data_sha256(validate({**CSV, "path": one, "test_path": two})) for one, two in ((jan, feb), (feb, jan))]
    lines = [
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in ("jan.csv", "feb.csv")
    ]
    assert pins == [hashlib.sha256("".join(order).encode()).hexdigest() for order in (lines, lines[::-1])]


def test_a_pin_does_not_depend_on_whether_a_path_is_relative(tmp_path, monkeypatch):
    for month in ("jan", "feb"):
        write_csv(tmp_path / f"{month}.csv", month, rows=20)
    monkeypatch.chdir(tmp_path)
    jan, feb = str(tmp_path / "jan.csv"), str(tmp_path / "feb.csv")
    pins = {
        data_sha256(validate({**CSV, "path": one, "test_path": two}))
        for one, two in ((jan, feb), ("jan.csv", feb), (jan, "feb.csv"), ("jan.csv", "feb.csv"))
    }
    assert len(pins) == 1


@pytest.mark.parametrize("pin", ["abc", "A" * 64, "sha256:" + "0" * 64])
def test_a_pin_is_64_hexadecimal_digits(tmp_path, pin):
    with pytest.raises(InputError, match="data_sha256"):
        write_suite(tmp_path / "s.yaml", data_sha256=pin)
