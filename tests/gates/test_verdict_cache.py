"""A cached verdict is used only while everything that it depends on is the same."""

import math
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval import run as runs
from rl_eval.gates import verdict_cache
from rl_eval.gates.verdict import CriterionVerdict, SuiteVerdict
from tests.gates.fake_runs import write_run

ARGUMENTS = {"runs": ["r1", "r2"], "suite": "rl_eval: 1", "gate_seed": 7, "data": {"gate": "d"}}
VERDICTS = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_size=4,
)


@pytest.mark.parametrize(
    "changed",
    [
        {"runs": ["r2", "r1"]}, {"runs": ["r1"]}, {"suite": "rl_eval: 1 "}, {"gate_seed": 8}, {"data": {"gate": "e"}},
        {"data": {}}, {"extra": {"reference": "x"}}, {"version": "0.0.0"},
    ],
    ids=str,
)  # fmt: skip
def test_every_input_changes_the_key(changed):
    assert verdict_cache.key(**{**ARGUMENTS, **changed}) != verdict_cache.key(**ARGUMENTS)
    assert verdict_cache.key(**ARGUMENTS) == verdict_cache.key(**{**ARGUMENTS, "extra": {}})
    assert verdict_cache.key(**{**ARGUMENTS, **changed}).isalnum()


@given(VERDICTS)
def test_a_verdict_comes_back_as_it_was(tmp_path_factory, verdict):
    folder = tmp_path_factory.mktemp("cache") / "below"
    key = verdict_cache.key(**ARGUMENTS)
    assert verdict_cache.read(folder, key) is None
    assert verdict_cache.write(folder, key, verdict)
    assert verdict_cache.read(folder, key) == verdict
    assert [file.name for file in folder.iterdir()] == [f"{key}.json"]


def test_what_is_not_finite_survives(tmp_path):
    verdict_cache.write(tmp_path, "k", {"interval": (-math.inf, 3.0), "estimate": math.nan})
    back = verdict_cache.read(tmp_path, "k")
    assert back["interval"] == [-math.inf, 3.0]
    assert math.isnan(back["estimate"])


def test_damage_of_any_byte_is_a_miss(tmp_path):
    verdict_cache.write(tmp_path, "k", {"passed": True, "estimate": 0.25})
    intact = (tmp_path / "k.json").read_bytes()
    for place in range(len(intact)):
        for content in (intact[:place], intact[:place] + bytes([intact[place] ^ 1]) + intact[place + 1 :]):
            (tmp_path / "k.json").write_bytes(content)
            assert verdict_cache.read(tmp_path, "k") in (None, {"passed": True, "estimate": 0.25})


@pytest.mark.parametrize("text", ["[]", "7", "[" * 100_000, '{"passed": true'])
def test_what_is_no_verdict_is_a_miss_even_with_the_right_hash(tmp_path, text):
    runs.write_json(tmp_path / "k.json", {"key": "k", "sha256": verdict_cache._digest(text), "verdict": text})
    assert verdict_cache.read(tmp_path, "k") is None


def test_an_entry_under_another_name_is_a_miss(tmp_path):
    verdict_cache.write(tmp_path, "k", {"passed": True})
    (tmp_path / "k.json").rename(tmp_path / "l.json")
    assert verdict_cache.read(tmp_path, "l") is None


def test_a_giant_or_a_folder_is_a_miss(tmp_path):
    (tmp_path / "k.json").mkdir()
    assert verdict_cache.read(tmp_path, "k") is None
    with open(tmp_path / "l.json", "wb") as file:
        file.truncate(runs.MAX_JSON_BYTES + 1)
    assert verdict_cache.read(tmp_path, "l") is None


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path):
    (tmp_path / "file").write_text("")
    assert not verdict_cache.write(tmp_path / "file", "k", {"passed": True})
    assert verdict_cache.read(tmp_path / "file", "k") is None


def test_the_oldest_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(verdict_cache, "MAX_ENTRIES", 3)
    for i in range(6):
        verdict_cache.write(tmp_path, f"k{i}", {"n": i})
        os.utime(tmp_path / f"k{i}.json", ns=(i, i))
    assert {file.name for file in tmp_path.iterdir()} == {"k3.json", "k4.json", "k5.json"}


def test_the_fingerprint_of_a_run_covers_what_criteria_read(tmp_path):
    run = write_run(tmp_path / "run")
    before = verdict_cache.run_fingerprint(run)
    assert verdict_cache.run_fingerprint(runs.read_run(run.path)) == before
    (run.path / "verdict.json").write_text("{}")  # what judging writes does not count
    assert verdict_cache.run_fingerprint(run) == before
    fingerprints = {before}
    for name in ("run.json", "config.yaml", "metrics.csv", "seen.npz", "snapshots/step_100/policy.safetensors"):
        with open(run.path / name, "ab") as file:
            file.write(b" ")
        fingerprints.add(verdict_cache.run_fingerprint(run))
    (run.path / "snapshots/step_200").mkdir()
    (run.path / "snapshots/step_200/policy.json").write_text("{}")
    fingerprints.add(verdict_cache.run_fingerprint(run))
    assert len(fingerprints) == 7


def test_a_file_that_is_not_there_has_a_name_too(tmp_path):
    assert verdict_cache.file_fingerprint(tmp_path / "none") == "missing"


def verdict():
    judged = CriterionVerdict("s", "c", "mean_return", "PASS", "good", "estimate", "at_least", 400.0, 500.0, run="r")
    held_out = CriterionVerdict("s", "held_out", "held_out", "NOT_CHECKED", "no data", "evidence", "")
    return SuiteVerdict("s", "s.yaml", "cartpole", "r", 7, ("r",), (judged, held_out), assumed=("a", "b"))


def test_a_suites_verdict_comes_back_as_it_was(tmp_path):
    verdict_cache.write(tmp_path, "k", verdict().to_json())
    assert verdict_cache.read_verdict(tmp_path, "k", ["c", "held_out"]) == verdict()
    for items in ([], ["c"], ["held_out", "c"], ["c", "controls", "held_out"]):
        assert verdict_cache.read_verdict(tmp_path, "k", items) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"criteria": []}, {"criteria": None}, {"criteria": [{}]}, {"runs": []}, {"runs": "r"}, {"part": "x"},
        {"gate_seed": "x"}, {"suite": None}, {"judged": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_a_malformed_verdict_with_the_right_hash_is_a_miss(tmp_path, changed):
    verdict_cache.write(tmp_path, "k", {**verdict().to_json(), **changed})
    assert verdict_cache.read_verdict(tmp_path, "k", ["c", "held_out"]) is None


@pytest.mark.parametrize(
    "changed", [{"decision": "GOOD"}, {"decision": "ERROR"}, {"direction": "up"}, {"estimate": "x"}, {"history": 1}]
)
def test_a_malformed_criterion_with_the_right_hash_is_a_miss(tmp_path, changed):
    values = verdict().to_json()
    values["criteria"] = [{**values["criteria"][0], **changed}, values["criteria"][1]]
    verdict_cache.write(tmp_path, "k", values)
    assert verdict_cache.read_verdict(tmp_path, "k", ["c", "held_out"]) is None


@pytest.mark.parametrize("values", [{}, {"findings": None}, {"findings": "text"}, {"findings": [1]}], ids=str)
def test_malformed_findings_are_a_miss(tmp_path, values):
    verdict_cache.write(tmp_path, "k", values)
    assert verdict_cache.read_findings(tmp_path, "k") is None
    verdict_cache.write(tmp_path, "k", {"findings": ["one"]})
    assert verdict_cache.read_findings(tmp_path, "k") == ["one"]
