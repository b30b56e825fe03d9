"""What operators see: the status page, human review, and metrics, on real parts in a folder."""

import asyncio
import json
import re
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml

from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.audit import verify
from rl_eval.production.config import load_config
from rl_eval.production.parts import open_parts
from rl_eval.production.records import LoggedDecision
from rl_eval.production.registry import Lineage
from rl_eval.production.review import ReviewBound
from rl_eval.production.review_queue import Review
from rl_eval.production.server.metrics import prometheus_text as server_text
from rl_eval.production.server.production_server import ProductionServer
from rl_eval.production.watch import pages
from rl_eval.production.watch.app import make_app
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text
from rl_eval.production.watch.overrides import record_override
from rl_eval.serving.security import Access, GuardedApp
from tests.production.served import write_config

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HTML = {"accept": "text/html"}
NAMES = ("allow", "block")
HOSTILE = "<script>alert(1)</script>\x1b[31m"


@pytest.fixture
def parts(tmp_path):
    with open_parts(load_config(write_config(tmp_path))) as opened:
        yield opened


@pytest.fixture
def full(parts):
    """With a champion, a challenger that is rolled out, drift, evidence, and two decisions that wait for a person."""
    policy = parts.folder / "policy.bin"
    policy.write_bytes(b"weights")
    proof = {"decision": "PASS", "findings": []}
    for parent in (None, 1):
        cost = {"wall_s": 61.0, "money": 0.25, "currency": "USD"}
        verdict = {"training": parent, "proof": proof, "reasons": [f"off_policy PASS: {HOSTILE}"]}
        parts.registry.register(policy, Lineage("sha", parent, verdict, "c0de", cost, "feed"))
    parts.registry.move({"champion": 1, "challenger": 2})
    store = parts.store
    store.swap_document(0, {"state": "canary", "share": 0.1, "challenger": 2, "champion": 1, "elapsed": 90.0})
    look = {"at": 1e9, "state": "canary", "share": 0.1, "verdict": "hold", "figure": "reward", "margin": 0.1}
    looks = [{**look, "sentence": f"not decided {n}", "units": n, "difference": 1 / n} for n in (10, 20, 40)]
    store.swap_document(0, {"looks": looks}, "evidence")
    feature = {"name": HOSTILE, "distance": 0.31, "p": 0.0, "reference": 1.0, "recent": 2.0}
    store.swap_document(0, {"at": 1e9, "features": [feature]}, "drift")
    row = {"difference": 0.0, "low": 0.0, "high": 0.0, "episodes": 9}
    store.swap_document(0, {"champions": [{**row, "version": 1}, {**row, "version": 2, "high": 0.2}]}, "improvement")
    bound = ReviewBound(0.7, 0.05, 0.05, 100, 90, 2)
    store.swap_document(0, {**bound.to_json(), "champion": 1}, "review_bound")
    store.finish_training(store.start_training("drift", now=1e9), {"sentence": f"version 2 {HOSTILE}", "version": 2})
    review_queue.ask(store, [Review("d-1", 1e9, "1", 0, 0.41), Review("d-2", 1e9 + 1, "1", 1, None)])
    store.swap_document(0, {"due": "drift"}, "trigger")
    parts.audit.append("trigger", HOSTILE, {"training": 1})
    return parts


class Client:
    """Requests to the guarded app."""

    def __init__(self, parts):
        app = GuardedApp(
            make_app(parts, lambda: NAMES, lambda: (HOSTILE, "size"), lambda: 2e9), Access(), lambda *_: None, {}
        )
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8001")
        self.runner = asyncio.Runner()

    def get(self, path, **keywords):
        return self.runner.run(self.client.get(path, **keywords))

    def post(self, path, **keywords):
        return self.runner.run(self.client.post(path, **keywords))


@pytest.fixture
def client(full):
    made = Client(full)
    yield made
    made.runner.run(made.client.aclose())
    made.runner.close()


def test_a_page_of_nothing_says_what_to_do(parts):
    html = pages.status_page(read_figures(parts, 0.0), [0.1, 0.5])
    assert "Not begun" in html
    assert "rl-eval production register" in html
    assert read_figures(parts, 0.0).faults == {}


def test_the_page_shows_every_part_and_escapes_what_it_shows(client):
    answer = client.get("/")
    html = answer.text
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for text in (
        "Rolling out",
        "version 2 has 10 % of units",
        "Champion 1 serves",
        "0.25 USD",
        "canary",
        "not decided 40",
    ):
        assert text in html.replace(" ", " "), text
    assert "2 decisions wait for a person" in html
    assert "A training is due (drift)" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    assert "default-src 'none'" in html


def test_a_part_that_is_away_is_said_and_the_rest_is_shown(full):
    (full.registry.folder / "aliases.json").write_text("{damaged")
    full.audit.path.write_bytes(b"no line of ours\n")
    figures = read_figures(full, 2e9)
    assert set(figures.faults) == {"registry", "audit"}
    html = pages.status_page(figures, [0.1])
    assert "Partly blind" in html
    assert "not decided 40" in html
    text = prometheus_text(figures).decode()
    assert 'rl_eval_loop_part_up{part="registry"} 0.0' in text
    assert 'rl_eval_loop_part_up{part="store"} 1.0' in text


def test_metrics_are_figures(client):
    text = client.get("/metrics").text
    for line in (
        'rl_eval_loop_version{alias="challenger"} 2.0',
        "rl_eval_loop_rollout_share 0.1",
        "rl_eval_loop_rollout_units 40.0",
        "rl_eval_loop_rollout_difference 0.025",
        'rl_eval_loop_rollout_state{state="canary"} 1.0',
        "rl_eval_loop_drifted_features 1.0",
        'rl_eval_loop_reviews{state="waiting"} 2.0',
        'rl_eval_loop_training_cost{currency="USD"} 0.5',
        'rl_eval_loop_latest_trainings{state="done"} 1.0',
    ):
        assert line in text.splitlines(), line


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


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"decision_id": "nobody"}, 409, "not in the review queue"),
        ({"action": 2}, 422, "none of the 2"),
        ({"action": True}, 422, "none of the 2"),
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
        record_override(full, values, 1e9, 0)
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
    assert html[html.index("d-4") :].count("<dt>") == pages.MOST_SHOWN
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


def test_decisions_at_or_below_the_bound_go_to_people_and_no_others(parts):
    rows = [("a", 0.2), ("b", 0.7), ("c", 0.71), ("d", None)]
    decisions = [
        LoggedDecision(name, 10.0 + i, "unit", "1", b"\0" * 4, None, np.int64(i).tobytes(), 0.5, confidence, None)
        for i, (name, confidence) in enumerate(rows)
    ]
    shadow = LoggedDecision("e", 20.0, None, "2", b"\0" * 4, None, np.int64(0).tobytes(), 0.5, 0.1, None, True)
    parts.store.ingest([*decisions, shadow], lambda pairs, before: [None] * len(pairs), 30.0)
    bound = ReviewBound(0.7, 0.05, 0.05, 100, 90, 2)
    found, last = review_queue.below(parts.store, bound, (0.0, ""), 10)
    assert [(one.decision_id, one.action) for one in found] == [("a", 0), ("b", 1), ("d", 3)]
    assert last == (20.0, "e")
    assert review_queue.below(parts.store, bound, last, 10) == ([], last)
    assert (review_queue.ask(parts.store, found), review_queue.ask(parts.store, found)) == (3, 0)


def test_alerts_and_dashboard_name_metrics_that_exist(full):
    from rl_eval.production.queues import open_queue

    server = ProductionServer(full.config, open_queue(full.config.collect, full.folder), b"k" * 32)
    server.statistics.add_request("/select_action", 200, 0.01)
    server.followed = 1.0
    exported = prometheus_text(read_figures(full, 2e9)).decode() + server_text(server).decode()
    server.close()
    names = set(re.findall(r"^(rl_eval\w+)", exported, re.MULTILINE))
    names |= set(re.findall(r"^# TYPE (\S+)", exported, re.MULTILINE))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    alerts = [rule for group in rules for rule in group["rules"]]
    asked = [rule["expr"] for rule in alerts]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    wanted = {name for expression in asked for name in re.findall(r"rl_eval\w+", expression)}
    assert len(wanted) > 15
    assert wanted - names == set()
    for rule in alerts:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "action"} <= rule["annotations"].keys()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
