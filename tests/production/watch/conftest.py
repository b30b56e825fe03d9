"""The parts of a folder with everything that operators see, and a client of their pages."""

import asyncio

import httpx
import pytest

from rl_eval.production import review_queue
from rl_eval.production.config import load_config
from rl_eval.production.heartbeats import KINDS, Heartbeat
from rl_eval.production.parts import open_parts
from rl_eval.production.registry import Lineage
from rl_eval.production.review import ReviewBound
from rl_eval.production.review_queue import Review
from rl_eval.production.watch.app import make_app
from rl_eval.production.watch.observed import Observed
from rl_eval.serving.security import Access, GuardedApp
from tests.production.served import write_config

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
    for kind in KINDS:
        assert Heartbeat(store, kind).beat()
    return parts


class Client:
    """Requests to the guarded app."""

    def __init__(self, parts):
        app = GuardedApp(
            make_app(parts, lambda: NAMES, lambda: Observed((HOSTILE, "size")), lambda: 2e9),
            Access(),
            lambda *_: None,
            {},
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
