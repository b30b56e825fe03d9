"""Exact copies of a case count once for a source, by their number with `copies: weigh`, and as rows on a set."""

from __future__ import annotations

import numpy as np
import pytest

from rl_eval.gates.case_copies import count_copies
from tests.gates.evidence_suites import suite, verdicts


def test_the_first_copy_counts_and_labels_tell_cases_apart():
    hashes, labels = np.array([7, 7, 9, 7, 5], np.uint64), np.array([0, 0, 1, 1, 0])
    copies = count_copies("flow", hashes, labels, np.ones(5, bool), weigh=False)
    assert copies.weight.tolist() == [1, 0, 1, 1, 1]
    assert (copies.distinct, copies.largest_weight) == (4, 1)
    weighed = count_copies("flow", hashes, labels, np.ones(5, bool), weigh=True)
    assert weighed.weight.tolist() == [2, 0, 1, 1, 1]
    without_first = count_copies("flow", hashes, labels, np.array([0, 1, 1, 1, 1], bool), weigh=False)
    assert without_first is None  # what was left out copies nothing


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    """A table of 1,000 threats seen once and 200 benign flows seen ten times each."""
    file = tmp_path_factory.mktemp("copies") / "flows.csv"
    rng = np.random.default_rng(0)
    rows = [(*np.round(rng.normal(size=3), 6), 1) for _ in range(1000)]
    rows += [(*np.round(rng.normal(size=3), 6), 0) for _ in range(200)] * 10
    order = rng.permutation(len(rows))
    lines = [",".join(map(str, rows[i])) for i in order]
    file.write_text("a,b,c,label\n" + "\n".join(lines) + "\n")
    return f"{{name: threat, data: csv, path: {file}, label: label, test_share: 0.6, validation_share: 0.2}}"


@pytest.mark.parametrize(("head", "note"), [("", True), ("copies: weigh", True), ("population: set", False)])
def test_blocking_everything_is_as_good_as_the_distinct_cases_say(tmp_path, repeated, head, note):
    (verdict,) = verdicts(
        suite(tmp_path, "metric: accuracy, at_least: 0.5", env=repeated, episodes="", head=head), "constant:1"
    )
    expected = 1000 / 1200 if head == "" else 1000 / 3000
    assert verdict.estimate == pytest.approx(expected, abs=0.05), verdict.detail
    assert verdict.decision == ("PASS" if expected > 0.5 else "FAIL")
    assert ("cases are distinct" in verdict.detail) == note
    if note:
        assert "accuracy over all of them is 0.3" in verdict.detail
