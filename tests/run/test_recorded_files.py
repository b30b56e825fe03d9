"""Files of a run are read only as training wrote them: the bytes that are checked are those that are parsed."""

import os

import pytest

from rl_eval.errors import InputError
from rl_eval.run import read_preprocessing, read_recorded, read_run, write_json
from tests.gates.fake_runs import record_files, write_run


@pytest.fixture
def run(tmp_path):
    made = write_run(tmp_path / "run")
    write_json(made.path / "preprocessing.json", {"columns": ["a"]})
    return record_files(made.path)


def test_a_file_that_training_wrote_is_read_and_one_that_it_did_not_write_is_none(run, tmp_path):
    assert read_preprocessing(run) == {"schema": 1, "columns": ["a"]}
    assert read_preprocessing(write_run(tmp_path / "other")) is None


def test_a_file_that_is_gone_is_named(run):
    (run.path / "preprocessing.json").unlink()
    with pytest.raises(InputError, match=r"preprocessing is missing .*preprocessing\.json"):
        read_preprocessing(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("edited", "is not the file that training wrote"),
        ("unrecorded", "records no SHA-256 of it"),
        ("link", "is a link"),
        ("fifo", "not a regular file"),
        ("large", "larger than"),
    ],
)
def test_any_other_file_is_refused(run, tmp_path, change, message):
    file = run.path / "preprocessing.json"
    if change == "edited":
        file.write_bytes(file.read_bytes() + b" ")
    elif change == "unrecorded":
        write_json(run.path / "run.json", {**run.info, "files_sha256": {}})
    elif change == "large":
        with open(file, "ab") as opened:
            opened.truncate((16 << 20) + 1)
    else:
        file.rename(tmp_path / "moved")
        file.symlink_to(tmp_path / "moved") if change == "link" else os.mkfifo(file)
    with pytest.raises(InputError, match=message):
        read_preprocessing(read_run(run.path))


def test_the_limit_is_that_of_the_caller(run):
    size = (run.path / "preprocessing.json").stat().st_size
    assert len(read_recorded(run, "preprocessing.json", size)) == size
    with pytest.raises(InputError, match="larger than"):
        read_recorded(run, "preprocessing.json", size - 1)
