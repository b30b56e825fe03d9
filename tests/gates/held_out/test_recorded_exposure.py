"""The leak check on runs: records that are missing, damaged, incomplete or of another run."""

import dataclasses

import numpy as np
import pytest

from rl_eval.exposure import CaseObservations, Fingerprints, case_views, exposure_file, hash_rows, write_exposure
from rl_eval.gates import held_out
from tests.gates.fake_runs import record_files, write_run
from tests.gates.held_out.exposures import exposure_to, set_of


def recorded(path, exposure):
    """A run with a record, or with none."""
    run = write_run(path)
    (run.path / "seen.npz").unlink(missing_ok=True)
    if exposure is not None:
        write_exposure(run.path, exposure)
    return record_files(run.path)


def test_the_worst_of_several_runs_decides(tmp_path):
    test_set = set_of([1, 2, 3], [10, 11, 12])
    clean = recorded(tmp_path / "clean", exposure_to([7], cases=False))
    leaky = recorded(tmp_path / "leaky", exposure_to([2], cases=False))
    assert held_out.check_runs([test_set], [clean]).decision == "PASS"
    check = held_out.check_runs([test_set] * 2, [clean, leaky])
    assert (check.decision, check.examples) == ("ERROR", (11,))


def test_a_run_without_a_record_is_an_error_unless_the_suite_only_reports(tmp_path):
    test_set, run = set_of([1], [10]), recorded(tmp_path / "run", None)
    for leaks in ("refuse", "drop"):
        check = held_out.check_runs([test_set], [run], leaks=leaks)
        assert check.decision == "ERROR"
        assert "has no seen.npz" in check.detail
        assert "set `leaks: report`" in check.detail
    assert held_out.check_runs([test_set], [run], leaks="report").decision == "NOT_CHECKED"


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
def test_a_damaged_or_foreign_record_is_an_error_always(tmp_path, leaks):
    run = recorded(tmp_path / "run", exposure_to([7], cases=True))
    check = held_out.check_runs([set_of([1], [10])], [run], leaks=leaks)
    assert check.decision == "ERROR"
    assert "is a record of cases, and the test set has episodes" in check.detail
    (run.path / "seen.npz").write_bytes(b"PK")
    check = held_out.check_runs([set_of([1], [10])], [run], leaks=leaks)
    assert check.decision == "ERROR"
    assert "seen.npz is not the file that training wrote" in check.detail
    check = held_out.check_runs([set_of([1], [10])], [record_files(run.path)], leaks=leaks)
    assert check.decision == "ERROR"
    assert "seen.npz cannot be read" in check.detail


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize(
    ("counted", "init", "decision"),
    [
        ({"train": 3, "validation": 1}, None, "PASS"),
        ({"train": 4, "validation": 1}, None, "ERROR"),
        ({"train": 2, "validation": 1}, None, "ERROR"),
        ({"train": 2, "validation": 1}, {"run": "parent"}, "PASS"),  # whose cases are on record too
        ({"train": 2, "validation": 1}, "x", "ERROR"),
        ({"train": 3, "validation": 2}, {"run": "parent"}, "ERROR"),
        ({"train": 3}, None, "ERROR"),
        ({"train": 3, "validation": "1"}, None, "ERROR"),
        (None, None, "ERROR"),
    ],
)
def test_a_record_of_other_numbers_of_cases_than_the_run_counted_is_an_error(tmp_path, leaks, counted, init, decision):
    run = recorded(tmp_path / "run", exposure_to([7, 8, 8], [9], cases=True))
    run = dataclasses.replace(run, info={**run.info, "cases": counted, "init": init})
    assert held_out.check_runs([set_of([1])], [run], leaks=leaks).decision == decision


def test_a_record_of_cases_with_other_fields_is_an_error(tmp_path):
    wide = CaseObservations(np.zeros((1, 50)), [f"field {i}" for i in range(50)])
    train = Fingerprints.from_hashes(hash_rows(wide.rows), case_views(wide))
    record = dataclasses.replace(exposure_to([]), train=train)
    run = recorded(tmp_path / "run", record)
    run = dataclasses.replace(run, info={**run.info, "cases": {"train": 1, "validation": 0}})
    check = held_out.check_runs([set_of([1])], [run])
    assert (check.decision, "number of fields" in check.detail) == ("ERROR", True)


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
def test_a_record_with_fewer_episodes_than_the_run_counted_is_an_error_always(tmp_path, leaks):
    run = recorded(tmp_path / "run", exposure_to([7, 8, 8], cases=False, unrecorded=2))
    for episodes, decision in ((5, "PASS"), (6, "ERROR")):
        counted = dataclasses.replace(run, info={**run.info, "episodes": episodes})
        check = held_out.check_runs([set_of([1], [10])], [counted], leaks=leaks)
        assert check.decision == decision
    assert "records 5 episodes of training, and run.json counts 6" in check.detail


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize("episodes", [5.5, "x", None, -3, True])
def test_a_run_that_does_not_count_its_episodes_is_an_error_always(tmp_path, leaks, episodes):
    run = recorded(tmp_path / "run", exposure_to([7], cases=False))
    counted = dataclasses.replace(run, info={**run.info, "episodes": episodes})
    check = held_out.check_runs([set_of([1], [10])], [counted], leaks=leaks)
    assert (check.decision, "does not count the episodes" in check.detail) == ("ERROR", True)


@pytest.mark.parametrize("leaks", ["refuse", "drop", "report"])
@pytest.mark.parametrize("sha256", ["recorded", None, 5])
def test_the_record_of_another_run_is_an_error_always(tmp_path, leaks, sha256):
    """Both count the same."""
    run = recorded(tmp_path / "run", exposure_to([1], cases=True))
    run.info["cases"] = {"train": 1, "validation": 0}
    write_exposure(run.path, exposure_to([7], cases=True))
    if sha256 != "recorded":
        run.info["files_sha256"] = {"seen.npz": sha256}
    check = held_out.check_runs([set_of([1])], [run], leaks=leaks)
    assert (check.decision, "SHA-256" in check.detail) == ("ERROR", True)


@pytest.mark.parametrize(("unrecorded", "limit", "decision"), [(3, 9, "ERROR"), (-1, 1, "ERROR"), (3, 1, "PASS")])
def test_cases_are_off_the_record_only_where_it_is_full(tmp_path, monkeypatch, unrecorded, limit, decision):
    monkeypatch.setattr(exposure_file, "MAX_ENTRIES", limit)
    run = recorded(tmp_path / "run", exposure_to([7], cases=True, unrecorded=unrecorded))
    run.info["cases"] = {"train": max(1 + unrecorded, 0), "validation": 0}
    assert held_out.check_runs([set_of([1])], [run]).decision == decision
