"""Two processes read the same results, notes and errors as one."""

import json

import numpy as np
import pytest

from rl_eval.domains.qase.formats import load, second_process
from rl_eval.errors import InputError


def result(key, status="passed", **more):
    return {
        "title": f"test {key}", "signature": f"{key}::t", "testops_ids": [key],
        "execution": {"status": status, "start_time": 1.7e9 + key, "end_time": 1.7e9 + key + 1, "duration": 1000},
        "relations": {"suite": {"data": [{"title": "api"}]}}, "muted": False, **more,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Six runs whose names, statuses and tests partly occur in both halves."""
    statuses = ("passed", "failed", "Flaky Here", "only late", "Flaky Here", "flaky here ")
    for run in range(6):
        entries = [result(run + i, statuses[(run + i) % 6] if run > 2 else statuses[i % 3]) for i in range(5)]
        entries[0]["testops_ids"] = [run + 1, run + 2]
        (tmp_path / f"run-{run}.json").write_text(json.dumps({"results": entries}))
    return tmp_path


def read(folder, monkeypatch, processes):
    monkeypatch.setattr(second_process, "MIN_BYTES", 0 if processes == 2 else 1 << 60)
    monkeypatch.setattr(second_process.os, "cpu_count", lambda: 2)
    return load.load(str(folder))


def test_both_read_the_same(folder, monkeypatch):
    started = []
    begin = second_process.SecondProcess.result
    monkeypatch.setattr(second_process.SecondProcess, "result", lambda self: started.append(begin(self)) or started[-1])
    two, one = (read(folder, monkeypatch, processes) for processes in (2, 1))
    assert len(started) == 1
    assert started[0] is not None, "the second process has read its half"
    for name, values in vars(one.results).items():
        other = getattr(two.results, name)
        if isinstance(values, np.ndarray):
            np.testing.assert_array_equal(other, values)
            assert other.dtype == values.dtype
        else:
            assert other == values
    assert (two.kinds, two.notes) == (one.kinds, one.notes)
    assert len(one.results) == 30


@pytest.mark.parametrize("fault", ['{"results": [{"title": 5}]}', "{", '{"results": [{"title": "a", "title": "b"}]}'])
def test_errors_in_either_half_equal_those_of_one_process(folder, monkeypatch, fault):
    for file in ("run-0.json", "run-5.json"):
        (folder / file).write_text(fault)
        messages = []
        for processes in (2, 1):
            with pytest.raises(InputError) as error:
                read(folder, monkeypatch, processes)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
        assert file in messages[0]
        (folder / file).write_text(json.dumps({"results": [result(1)]}))


def test_cases_among_the_results_are_read_as_well(folder, monkeypatch):
    cases = [{"id": 3, "title": "third"}]
    (folder / "z-export.json").write_text(json.dumps({"suites": [{"id": 1, "title": "api", "cases": cases}]}))
    two, one = (read(folder, monkeypatch, processes) for processes in (2, 1))
    assert two.project == one.project
    assert two.joined is not None
    assert two.joined.counts == one.joined.counts
