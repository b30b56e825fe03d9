"""The pages of operators behind a token: programs send it as `Bearer`, browsers as a password."""

import httpx
import pytest

from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.config import load_config
from rl_eval.production.parts import open_parts
from rl_eval.production.review_queue import Review
from rl_eval.production.watch.app import make_app
from rl_eval.production.watch.serve import serve_watch
from rl_eval.serving.security import Access, GuardedApp
from tests.production.served import ask, write_config

TOKEN = "0123456789abcdef"
BEARER = {"headers": {"authorization": f"Bearer {TOKEN}"}}
PASSWORD = {"auth": httpx.BasicAuth("ada", TOKEN)}
OVERRIDE = {"decision_id": "d1", "action": "1", "reviewer": "ada"}
WRONG = [
    {}, {"auth": httpx.BasicAuth("ada", TOKEN + "0")}, {"auth": httpx.BasicAuth(TOKEN, "")},
    {"headers": {"authorization": "Basic ***"}}, {"headers": {"authorization": f"Basic {TOKEN}"}},
    {"headers": {"authorization": f"Digest {TOKEN}"}},
]  # fmt: skip


@pytest.fixture
def parts(tmp_path):
    with open_parts(load_config(write_config(tmp_path))) as opened:
        review_queue.ask(opened.store, [Review("d1", 1e9, "1", 0, 0.4)])
        yield opened


def guarded(parts, loopback):
    access = Access(TOKEN, loopback, changing=("/review",), people=True)
    return GuardedApp(make_app(parts), access, lambda *_: None, {})


@pytest.mark.parametrize("loopback", [True, False])
def test_nobody_decides_without_the_token(parts, loopback):
    requests = [(method, "/review", more) for method in ("GET", "POST") for more in WRONG]
    for answer in ask(guarded(parts, loopback), *requests):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert "d1" not in answer.text
    assert review_queue.counts(parts.store) == {"waiting": 1}


@pytest.mark.parametrize("known", [BEARER, PASSWORD])
def test_whoever_has_the_token_decides(parts, known):
    page, decided, status = ask(
        guarded(parts, False), ("GET", "/review", known), ("POST", "/review", {**known, "data": OVERRIDE}),
        ("GET", "/", known),
    )  # fmt: skip
    assert (page.status_code, decided.status_code, status.status_code) == (200, 303, 200)
    assert review_queue.counts(parts.store) == {"decided": 1}


def test_a_token_that_is_too_short_is_refused_for_its_length_on_loopback_too(parts):
    with pytest.raises(InputError, match="RL_EVAL_TOKEN has 5 characters: choose one of at least 16"):
        serve_watch(parts.config, host="127.0.0.1", port=0, token="short")


def test_other_machines_see_nothing_but_that_it_lives(parts):
    answers = ask(guarded(parts, False), ("GET", "/", {}), ("GET", "/metrics", {}), ("GET", "/health", {}))
    assert [answer.status_code for answer in answers] == [401, 401, 200]
