"""Why a first page did not come: one sentence that names the reason and what to do."""

import pytest

from rl_eval.domains.webtest.browser.events import Events
from rl_eval.domains.webtest.browser.first_page import why_it_did_not_come

URL = "https://127.0.0.1:8000/"


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (Events(failed={f"GET {URL}": "net::ERR_CONNECTION_REFUSED"}), "ERR_CONNECTION_REFUSED"),
        (Events(failed={f"GET {URL}": "net::ERR_CERT_AUTHORITY_INVALID"}), "certificate"),
        (Events(failed={f"GET {URL}": "net::ERR_SSL_PROTOCOL_ERROR"}), "https"),
        (Events(failed={f"GET {URL}": "net::ERR_ABORTED"}), "download"),
        (Events(downloads=1), "download"),
        (Events(left=["http://other.example/a?b=c"]), "http://other.example,"),
        (Events(), "within 3 s"),
    ],
)
def test_the_reason_is_named(events, reason):
    sentence = why_it_did_not_come(URL, events, 3.0)
    assert sentence.startswith(URL)
    assert reason in sentence
    assert "\n" not in sentence
