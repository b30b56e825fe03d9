"""Rows of metrics.csv: appended, cut, and read back exactly."""

import csv
import errno
import hashlib
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import run
from rl_eval.errors import InputError


def test_rows_are_appended_across_openings_in_the_order_of_the_header(tmp_path):
    file = tmp_path / "metrics.csv"
    run.MetricsLog(file).append({"env_steps": 1, "loss": np.float32(0.1), "note": float("nan")})
    run.MetricsLog(file).append({"note": -math.inf, "loss": 1e-30, "env_steps": np.int64(2)})
    assert list(csv.reader(file.open())) == [
        ["env_steps", "loss", "note"],
        ["1", repr(float(np.float32(0.1))), "nan"],
        ["2", "1e-30", "-inf"],
    ]
    with pytest.raises(ValueError, match=r"metrics row has \['note', 'other'\] more or less than the header"):
        run.MetricsLog(file).append({"env_steps": 3, "loss": 1.0, "other": 1.0})
    assert len(file.read_text().splitlines()) == 3


@given(rows=st.lists(st.tuples(st.integers(0, 10**9), st.floats()), min_size=1, max_size=12), data=st.data())
def test_numbers_come_back_to_the_bit_and_a_cut_log_is_one_that_stopped_there(tmp_path_factory, rows, data):
    keep = data.draw(st.integers(0, len(rows)))
    folder = tmp_path_factory.mktemp("metrics")
    complete, stopped = folder / "complete.csv", folder / "stopped.csv"
    log, short = run.MetricsLog(complete), run.MetricsLog(stopped)
    for i, (steps, loss) in enumerate(rows):
        log.append({"env_steps": steps, "loss": loss})
        if i < keep:
            short.append({"env_steps": steps, "loss": loss})
    read = run.read_metrics(complete)
    assert read["env_steps"].tolist() == [steps for steps, _ in rows]
    np.testing.assert_array_equal(read["loss"], [loss for _, loss in rows])
    with open(complete, "a") as file:
        file.write("12345")  # a row that a crash cut short
    assert len(run.read_metrics(complete)["loss"]) == len(rows)
    log.cut_to(keep)
    assert complete.exists() == stopped.exists()
    if keep:
        assert complete.read_bytes() == stopped.read_bytes()
    log.append({"env_steps": 1, "loss": 0.5})
    short.append({"env_steps": 1, "loss": 0.5})
    assert complete.read_bytes() == stopped.read_bytes()


@pytest.mark.parametrize("n_written", [0, 1, 7])
def test_a_row_that_the_disk_does_not_take_leaves_the_log_as_it_was(tmp_path, monkeypatch, n_written):
    file = tmp_path / "metrics.csv"
    log = run.MetricsLog(file)
    write = os.write

    def fill_up(descriptor, content):
        if n_written and len(content) > n_written:
            return write(descriptor, bytes(content[:n_written])) if len(content) > 2 * n_written else full()
        return full()

    def full():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for steps in (1, 2):
        before = file.read_bytes() if file.exists() else b""
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fill_up)
            with pytest.raises(OSError, match=r"No space left on device.*metrics\.csv"):
                log.append({"env_steps": steps, "loss": 0.123456789012345})
        assert file.read_bytes() == before
        log.append({"env_steps": steps, "loss": 0.5})
        assert log.first_rows(steps) == file.read_bytes()
        assert log.first_rows(steps + 1) is None
        assert log.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_row_that_a_crash_cut_short_is_not_read(tmp_path):
    (tmp_path / "metrics.csv").write_text("env_steps,loss\n1,0.5\n2,0.25")
    assert run.read_metrics(tmp_path / "metrics.csv")["env_steps"].tolist() == [1]
    log = run.MetricsLog(tmp_path / "metrics.csv")
    assert log.first_rows(1) == b"env_steps,loss\n1,0.5\n"
    assert log.first_rows(2) is None


def test_a_log_that_is_missing_or_no_table_of_numbers_is_refused_by_name(tmp_path):
    run.MetricsLog(tmp_path / "metrics.csv").cut_to(5)  # nothing to cut
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read"):
        run.read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("env_steps,loss\n1,\n2,low\n")
    with pytest.raises(InputError, match=r"metrics\.csv has a cell that is not a number: .*'low'"):
        run.read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_bytes(b"env_steps,loss\n1,\xff\n")
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read"):
        run.read_metrics(tmp_path / "metrics.csv")
    (tmp_path / "metrics.csv").write_text("env_steps,loss\n1,\n")
    assert np.isnan(run.read_metrics(tmp_path / "metrics.csv")["loss"][0])


def test_a_link_and_a_large_file_are_refused(tmp_path):
    (tmp_path / "other.csv").write_text("env_steps\n1\n")
    (tmp_path / "metrics.csv").symlink_to(tmp_path / "other.csv")
    with pytest.raises(InputError, match="is a link"):
        run.read_metrics(tmp_path / "metrics.csv")
    os.truncate(tmp_path / "other.csv", 300 << 20)  # sparse
    with pytest.raises(InputError, match="is larger than 256 MiB"):
        run.read_metrics(tmp_path / "other.csv")


def test_the_hash_is_of_what_was_written_also_after_a_cut_whatever_the_disk_did_since(tmp_path):
    file = tmp_path / "metrics.csv"
    log = run.MetricsLog(file)
    for steps in (1, 2, 3):
        log.append({"env_steps": steps})
    log.cut_to(2)
    assert log.sha256 == hashlib.sha256(b"env_steps\n1\n2\n").hexdigest() == run.MetricsLog(file).sha256
    file.write_bytes(b"env_steps\n1\n9\n")
    log.append({"env_steps": 3})
    assert log.sha256 == hashlib.sha256(b"env_steps\n1\n2\n3\n").hexdigest()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\n"])
def test_a_log_opens_whatever_its_header_holds(tmp_path, content):
    (tmp_path / "metrics.csv").write_bytes(content)
    assert run.MetricsLog(tmp_path / "metrics.csv").first_rows(1) is None


def test_a_log_with_an_endless_cell_is_refused(tmp_path):
    (tmp_path / "metrics.csv").write_bytes(b'"' + b"x" * 200_000)
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read as a table"):
        run.MetricsLog(tmp_path / "metrics.csv")
