"""Human review: what waits for a person, and what a person decides, on real parts in a folder."""

import contextlib
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.production import heartbeats, review_queue
from rl_eval.production.audit import verify
from rl_eval.production.loop.reviews import update_queue
from rl_eval.production.records import LoggedDecision
from rl_eval.production.review import ReviewBound
from rl_eval.production.review_queue import Review
from rl_eval.production.store import UnavailableError
from rl_eval.production.watch import observed
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.overrides import complete_overrides, record_override
from tests.production.watch.conftest import NAMES

HTML = {"accept": "text/html"}


def test_a_person_decides_once_and_it_is_logged_first(client, full):
    waiting = client.get("/review").json()["waiting"]
    assert [one["decision_id"] for one in waiting] == ["d-1", "d-2"]
    form = {"decision_id": "d-1", "action": "1", "reviewer": "Ada", "reason": "an address of ours"}
    answer = client.post("/review", data=form, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/review")
    one = client.get("/review", params={"decision_id": "d-1"}).json()
    assert (one["state"], one["decided"], one["action"], one["reviewer"]) == ("decided", 0, 1, "Ada")
    again = client.post("/review", data={**form, "reviewer": "Bob"}, headers=HTML)
    assert again.status_code == 409
    assert "was decided by Ada" in again.text
    lines = read_figures(full, 2e9).lines
    assert (lines[0].event, lines[0].actor) == ("override", "Ada")
    assert lines[0].facts == {"decision_id": "d-1", "decided": 0, "action": 1, "reason": "an address of ours"}
    assert sum(line.event == "override" for line in lines) == 1
    assert not verify(full.audit.path).faults


def overrides(parts):
    """Event and actor of the lines about overrides, in their order."""
    entries = [json.loads(line) for line in parts.audit.path.read_text().splitlines()]
    return [(one["event"], one["actor"]) for one in entries if one["event"].startswith("override")]


def test_of_two_people_at_once_one_decides_and_the_other_is_not_logged(full, monkeypatch):
    append, both = full.audit.append, threading.Barrier(2)

    def slow(*arguments):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # until the other one is here as well, where it can be
        return append(*arguments)

    def decide(reviewer):
        try:
            return record_override(full, {"decision_id": "d-1", "action": 1, "reviewer": reviewer}, 1e9, NAMES).reviewer
        except review_queue.ReviewedError:
            return None

    monkeypatch.setattr(type(full.audit), "append", lambda _, *arguments: slow(*arguments))
    with ThreadPoolExecutor(2) as pool:
        decided = [name for name in pool.map(decide, ("Ada", "Bob")) if name]
    assert len(decided) == 1
    assert overrides(full) == [("override", decided[0])]
    assert review_queue.read(full.store, "d-1").override.reviewer == decided[0]


class KilledError(BaseException):
    """As the end of a process: nothing catches it."""


@pytest.mark.parametrize("restarted", ["watch", "loop"])
@pytest.mark.parametrize("logged", [False, True])
def test_an_override_whose_process_is_killed_counts_and_is_logged_once(full, monkeypatch, logged, restarted):
    append = full.audit.append

    def append_and_end(*arguments):
        if logged:
            append(*arguments)
        raise KilledError

    monkeypatch.setattr(type(full.audit), "append", lambda _, *arguments: append_and_end(*arguments))
    with pytest.raises(KilledError):
        record_override(full, {"decision_id": "d-1", "action": 1, "reviewer": "Ada"}, 1e9, NAMES)
    monkeypatch.undo()
    assert review_queue.read(full.store, "d-1").override is None
    full.audit.append("verdict", "pytest")
    if restarted == "loop":
        update_queue(full, 1e9)
    with pytest.raises(review_queue.ReviewedError, match="was decided by Ada"):
        record_override(full, {"decision_id": "d-1", "action": 0, "reviewer": "Bob"}, 1e9, NAMES)
    assert overrides(full) == [("override", "Ada")]
    decided = review_queue.read(full.store, "d-1")
    assert (decided.state, decided.override.action, decided.override.reviewer) == ("decided", 1, "Ada")
    assert review_queue.counts(full.store) == {"waiting": 1, "decided": 1}


def test_an_override_that_the_store_did_not_take_counts_once_it_is_back(client, full, monkeypatch):
    writing, transactions = full.store.database.writing, []

    @contextlib.contextmanager
    def failing():
        transactions.append(1)
        with writing() as connection:
            yield connection
            if len(transactions) == 2:
                raise UnavailableError("store.sqlite cannot be used", "the disk is full")

    monkeypatch.setattr(full.store.database, "writing", failing)
    answer = client.post("/review", json={"decision_id": "d-1", "action": 1, "reviewer": "Ada"})
    assert answer.status_code == 503
    assert "decided is kept, and counts once the store can be written (the disk is full)" in answer.json()["detail"]
    assert review_queue.counts(full.store) == {"deciding": 1, "waiting": 1}
    assert client.get("/review", params={"decision_id": "d-1"}).json()["action"] == 0
    complete_overrides(full)
    assert overrides(full) == [("override", "Ada")]
    assert client.get("/review", params={"decision_id": "d-1"}).json()["action"] == 1


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"decision_id": "nobody"}, 409, "does not wait for a person"),
        ({"action": 2}, 422, "not one of the 2"),
        ({"action": True}, 422, "not one of the 2"),
        ({"action": "Block"}, 422, "send its name, or number from 0"),
        ({"reviewer": "  "}, 422, "names no reviewer"),
        ({"reviewer": None}, 422, "decision_id, action, reviewer"),
        ({"more": 1}, 422, "decision_id, action, reviewer"),
        ({"reason": "x" * 2001}, 422, "shorten it"),
        ({"decision_id": "\ud800"}, 422, "without NUL"),  # half of a surrogate pair, which no database holds
        ({"reviewer": "Ada\ud800"}, 422, "without NUL"),
        ({"reason": "a\0b"}, 422, "without NUL"),
    ],
)
def test_what_is_no_decision_is_refused_and_not_logged(client, full, change, status, said):
    content = json.dumps({"decision_id": "d-1", "action": 1, "reviewer": "Ada", **change})
    answer = client.post("/review", content=content)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert review_queue.counts(full.store) == {"waiting": 2}
    assert full.audit.path.read_text().count("\n") == 1


@pytest.mark.parametrize("action", [float("nan"), -1, True, None, "1", [], [1.0, float("inf")], {"a": 1}])
def test_an_action_without_a_number_is_a_number_or_finite_numbers(full, action):
    values = {"decision_id": "d-1", "action": action, "reviewer": "Ada"}
    with pytest.raises(InputError, match="whole number from 0, or a list of finite numbers"):
        record_override(full, values, 1e9, ())
    assert review_queue.counts(full.store) == {"waiting": 2}


def test_without_an_audit_log_no_override_counts(client, full):
    full.audit.path.write_bytes(b"damaged")
    full.audit.path.with_name("audit.jsonl.head").unlink()
    (full.folder / "audit.jsonl").chmod(0o400)
    full.audit.path.unlink()
    full.audit.path.mkdir()
    answer = client.post("/review", json={"decision_id": "d-1", "action": 1, "reviewer": "Ada"})
    assert answer.status_code == 503
    assert review_queue.counts(full.store) == {"waiting": 2}


def test_an_action_may_be_given_by_its_name(client, full):
    answer = client.post("/review", json={"decision_id": "d-1", "action": "block", "reviewer": "Ada"})
    assert (answer.status_code, answer.json()["action"]) == (200, 1)
    form = {"decision_id": "d-2", "action": "allow", "reviewer": "Ada"}
    assert client.post("/review", data=form).status_code == 303
    assert client.get("/review", params={"decision_id": "d-2"}).json()["action"] == 0


def test_another_origin_cannot_decide_for_a_person(client, full):
    form = {"decision_id": "d-1", "action": "1", "reviewer": "Ada"}
    answer = client.post("/review", data=form, headers={"origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert review_queue.counts(full.store) == {"waiting": 2}


def test_the_review_page_offers_the_actions_by_name(client):
    html = client.get("/review", headers=HTML).text
    assert html.count("<form") == 2
    assert html.count('<button name="action" value="0"') == 2
    first = html[html.index("d-1") :]
    assert first.index(">allow</button>") < first.index(">block</button>")  # the policy's own first
    assert "form-action 'self'" in html
    assert "same-origin" in html


def ask(parts, decision_id, observation, mask=None):
    action = np.int64(1).tobytes()
    decision = LoggedDecision(decision_id, 1e9 + 5, "unit", "1", observation, mask, action, 0.5, 0.4, None)
    parts.store.ingest([decision], lambda pairs, _: [None] * len(pairs), 1e9 + 5)
    review_queue.ask(parts.store, [Review(decision_id, 1e9 + 5, "1", 1, 0.4)])


def test_the_review_page_shows_what_the_policy_observed_by_name_bounded_and_escaped(client, full):
    assert "no longer kept" in client.get("/review", headers=HTML).text
    ask(full, "d-3", np.array([0.25, -1.5, 77.0], np.float32).tobytes())
    ask(full, "d-4", np.arange(2_000, dtype=np.float32).tobytes())
    html = client.get("/review", headers=HTML).text
    shown = html[html.index("d-3") : html.index("d-4")]
    values = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", shown)
    assert [value for _, value in values] == ["0.25", "−1.5", "77"]
    assert [name for name, _ in values][1:] == ["size", "2"]
    assert "&lt;script&gt;" in values[0][0]
    assert "<script" not in html
    assert html[html.index("d-4") :].count("<dt>") == observed.MOST_SHOWN
    one = client.get("/review", params={"decision_id": "d-3"}).json()
    assert one["observation"] == [0.25, -1.5, 77.0]
    assert len(client.get("/review", params={"decision_id": "d-4"}).json()["observation"]) == 1_000


def test_an_action_that_was_not_legal_is_not_offered_and_refused(client, full):
    ask(full, "d-5", np.zeros(2, np.float32).tobytes(), mask=b"\0\1")
    html = client.get("/review", headers=HTML).text
    assert re.findall(r'name="action" value="(\d)"', html[html.index("d-5") :]) == ["1"]
    answer = client.post("/review", json={"decision_id": "d-5", "action": 0, "reviewer": "Ada"})
    assert (answer.status_code, "not legal" in answer.json()["detail"]) == (422, True)
    assert client.post("/review", json={"decision_id": "d-5", "action": 1, "reviewer": "Ada"}).status_code == 200


def test_the_queue_says_how_many_wait_and_is_read_page_by_page(client, full):
    review_queue.ask(full.store, [Review(f"e-{n:02}", 1e9 + 10 + n, "1", 0, 0.1) for n in range(30)])
    first = client.get("/review").json()
    assert (len(first["waiting"]), first["total"], first["next"]) == (25, 32, 25)
    rest = client.get("/review", params={"offset": first["next"]}).json()
    assert ([one["decision_id"] for one in rest["waiting"]], rest["next"]) == ([f"e-{n}" for n in range(23, 30)], None)
    html = client.get("/review", headers=HTML).text
    assert ("1 to 25 of 32" in html, 'href="/review?offset=25"' in html, "Older" in html) == (True, True, False)
    html = client.get("/review?offset=25", headers=HTML).text
    assert ("26 to 32 of 32" in html, 'href="/review?offset=0"' in html, "Newer" in html) == (True, True, False)
    assert client.get("/review?offset=99").json() == {"waiting": [], "total": 32, "next": None}
    for offset in ("-1", "x", "1" * 10):
        answer = client.get("/review", params={"offset": offset})
        assert (answer.status_code, "is not a count" in answer.json()["detail"]) == (422, True)


def test_what_needs_no_person_any_more_leaves_the_queue_and_is_counted(full):
    review_queue.ask(full.store, [Review("d-3", 1e9 + 2, "2", 0, 0.3), Review("d-4", 1e9 + 3, "2", 0, 0.8)])
    record_override(full, {"decision_id": "d-1", "action": 1, "reviewer": "Ada"}, 1e9, NAMES)
    bound = ReviewBound(0.7, 0.05, 0.05, 100, 90, 2)
    assert review_queue.unneeded(full.store, bound, {"2"}) == ["d-2", "d-4"]  # another version; above the bound
    assert review_queue.unneeded(full.store, None, {"1"}) == ["d-3", "d-4"]
    assert review_queue.leave(full.store, ["d-1", "d-2", "d-4"]) == 2  # what a person decided stays
    assert review_queue.counts(full.store) == {"decided": 1, "waiting": 1}
    assert full.store.counts()[review_queue.LEFT] == 2
    with pytest.raises(review_queue.ReviewedError, match="or no longer"):
        record_override(full, {"decision_id": "d-2", "action": 1, "reviewer": "Ada"}, 1e9, NAMES)


def test_decisions_at_or_below_the_bound_go_to_people_and_no_others(parts):
    rows = [("a", 0.2), ("b", 0.7), ("c", 0.71), ("d", None)]
    decisions = [
        LoggedDecision(name, 10.0 + i, "unit", "1", b"\0" * 4, None, np.int64(i).tobytes(), 0.5, confidence, None)
        for i, (name, confidence) in enumerate(rows)
    ]
    shadow = LoggedDecision("e", 20.0, None, "2", b"\0" * 4, None, np.int64(0).tobytes(), 0.5, 0.1, None, True)
    parts.store.ingest([*decisions, shadow], lambda pairs, before: [None] * len(pairs), 30.0)
    bound = ReviewBound(0.7, 0.05, 0.05, 100, 90, 2)
    found, last = review_queue.below(parts.store, bound, {"1", "2"}, (0.0, ""), 10)
    assert [(one.decision_id, one.action) for one in found] == [("a", 0), ("b", 1), ("d", 3)]
    assert last == (20.0, "e")
    assert review_queue.below(parts.store, bound, {"1", "2"}, last, 10) == ([], last)
    assert (review_queue.ask(parts.store, found), review_queue.ask(parts.store, found)) == (3, 0)


def one(client, decision_id):
    answer = client.get("/review", params={"decision_id": decision_id})
    return answer.status_code, answer.json(), answer.headers.get("retry-after")


def test_of_what_was_not_looked_at_yet_nobody_says_that_the_policys_counts(client, full):
    section = full.config.loop.model_copy(update={"wrong_below": 0.5, "turn": 2.5})
    object.__setattr__(full.config, "loop", section)
    decisions = [
        LoggedDecision(f"n-{n}", 100.0 + n, "u", "1", b"\0" * 4, None, np.int64(0).tobytes(), 0.5, 0.9, None)
        for n in range(3)
    ]
    assert one(client, "n-1")[:2] == (404, {**one(client, "n-1")[1], "state": "unknown", "retry_s": 3})
    full.store.ingest(decisions, lambda pairs, _: [None] * len(pairs), 103.0)
    assert "the policy's counts" in one(client, "n-1")[1]["detail"]  # no bound yet: nobody ever looks at it
    full.store.swap_document(0, {"at": 101.0, "id": "n-1"}, review_queue.LOOKED_AT)
    assert [one(client, f"n-{n}")[0] for n in range(3)] == [404, 404, 202]
    assert "the policy's counts" in one(client, "n-1")[1]["detail"]
    _, body, after = one(client, "n-2")
    assert (body["state"], body["retry_s"], after) == ("not_looked_at", 3, "3")
    assert "was not looked at yet: ask again in 3 s" in body["detail"]
    assert "policy" not in body["detail"]
    number = full.store.document(heartbeats.DOCUMENT).number
    full.store.swap_document(number, {}, heartbeats.DOCUMENT)
    assert "no control loop is alive" in one(client, "n-2")[1]["detail"]
    review_queue.ask(full.store, [Review("n-2", 102.0, "1", 0, 0.4)])
    assert one(client, "n-2")[1]["state"] == "waiting"
    assert one(client, "a\0b")[1]["state"] == "unknown"
    object.__setattr__(full.config, "loop", section.model_copy(update={"wrong_below": None}))
    full.store.swap_document(1, {"at": 100.0, "id": "n-0"}, review_queue.LOOKED_AT)
    assert "the policy's counts" in one(client, "n-1")[1]["detail"]  # nothing goes to people


def test_what_becomes_a_persons_between_two_looks_is_not_said_to_be_the_policys(client, full, monkeypatch):
    """A row that comes after the first of both reads is found by the second."""
    looked = review_queue.is_looked_at

    def slowly(store, decision_id):
        answer = looked(store, decision_id)
        review_queue.ask(store, [Review(decision_id, 5.0, "1", 0, 0.4)])
        return answer

    monkeypatch.setattr(review_queue, "is_looked_at", slowly)
    assert one(client, "late")[1]["state"] == "waiting"
