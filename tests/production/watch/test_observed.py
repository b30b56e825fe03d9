"""What the review page shows of an observation, and why it shows a decision."""

import numpy as np
import pytest

from rl_eval import domains
from rl_eval.domains import RawField
from rl_eval.production.loop import versions
from rl_eval.production.watch.observed import MOST_SHOWN, SCALED, Observed
from tests.production.watch.test_review_page import HTML, ask

FITTED = {
    "columns": ["bytes", "protocol=tcp", "protocol=<other>"],
    "numeric": [{"name": "bytes", "scale": None, "mean": 500.0, "std": 250.0}],
    "categorical": [{"name": "protocol", "levels": ["tcp"]}], "dropped": [], "clip": 5.0,
}  # fmt: skip


def test_fields_are_shown_where_they_can_be_told_and_what_privacy_changed_is_said():
    fields = [RawField(name, "7", (n, n + 10)) for n, name in enumerate(("plain", "dropped", "hashed", "coarse"))]
    observed = Observed(raw=lambda _: fields, rules={11: "drop", 2: "hash", 13: "coarsen"})
    rows, note = observed.shown([0.5])
    assert rows == [("plain", "7"), ("dropped", "dropped"), ("hashed", "hashed"), ("coarse", "about 7")]
    assert note == ""


def test_numbers_that_cannot_be_told_are_said_to_be_scaled():
    observed = Observed(("size",), lambda _: None, scaled=True)
    assert observed.shown([0.5, -1.0]) == ([("size", "0.5"), ("1", "−1")], SCALED)
    assert Observed(("size",)).shown([0.5]) == ([("size", "0.5")], "")
    assert observed.shown([]) == ([], "")
    rows, note = observed.shown([0.0] * 100)
    assert (len(rows), note) == (MOST_SHOWN, f"The first 60 of its 100 numbers. {SCALED}")


def test_the_champions_preprocessing_is_inverted(full, monkeypatch):
    monkeypatch.setattr(versions, "local_run", lambda parts, number: number)
    monkeypatch.setattr(versions, "read_preprocessing", lambda run: FITTED)
    monkeypatch.setattr(versions, "environment_of", lambda run: domains.validate({"name": "threat"}))
    rows, note = versions.champion_observed(full).shown([-0.8, 0.0, 1.0])
    assert (rows, note) == ([("bytes", "300"), ("protocol", "another value")], "")
    monkeypatch.setattr(versions, "read_preprocessing", lambda run: {**FITTED, "clip": 9.0})
    rows, note = versions.champion_observed(full).shown([-0.8, 0.0, 1.0])
    assert (rows[0], note) == (("bytes", "−0.8"), SCALED)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (None, "No bound on confidence is calibrated now"),
        ({"threshold": None}, "No bound on confidence keeps wrong decisions at 5.0"),
        ({}, "have no confidence above the calibrated bound, 0.7"),
    ],
)
def test_the_review_page_says_why_decisions_are_there(client, full, values, said):
    document = full.store.document("review_bound")
    body = {} if values is None else {**document.body, **values}
    full.store.swap_document(document.number, body, "review_bound")
    ask(full, "d-3", np.zeros(2, np.float32).tobytes())
    html = client.get("/review", headers=HTML).text
    assert said in html
    assert ("calibrated bound" in html) == (values == {})
