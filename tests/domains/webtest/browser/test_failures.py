"""The rules that turn what a browser reports into failures: what they report, and what they leave alone."""

import pytest

from rl_eval.domains.webtest.browser.events import Answer, Events
from rl_eval.domains.webtest.browser.failures import Done, Memory, failures

ORIGIN = "http://shop"
LINK = Done("link", "Order 7 /orders/{n}")


def report(**values):
    empty = {"url": f"{ORIGIN}/here", "title": "", "heading": "", "text": "", "head": "", "cart": -1, "elements": []}
    return {**empty, "errorsShown": False, "tables": [], "forms": [], "probes": [], "secret": False, **values}


def events(*answers, **values):
    made = Events(**values)
    for answer in answers:
        made.add_answer(answer, ORIGIN)
    return made


def page(status, path="/orders/7", method="GET", redirected=False, kind="document"):
    return Answer(method, ORIGIN + path, status, kind, redirected)


def sites(done, seen, before=None, after=None, memory=None):
    found = failures(done, before or report(), after or report(), seen, memory or Memory())
    return [(one.kind, one.site) for one in found]


@pytest.mark.parametrize(
    ("done", "answer", "expected"),
    [
        (LINK, page(500), [("error_page", "GET /orders/{n} 500")]),
        (LINK, page(503, "/status/503"), []),  # it was asked for
        (LINK, page(500, "/page?code=500"), []),
        (LINK, page(404), [("dead_link", "GET /orders/{n} 404")]),
        (LINK, page(404, "/status/404"), []),
        (LINK, page(404, "/issue/Some%20text"), []),  # a link that the tester's own entry made
        (LINK, page(500, "/issue/Some%20text"), [("error_page", "GET /issue/Some text 500")]),
        (LINK, page(404, "/user?name=Tina+Tester", kind="image"), []),
        (Done("link", "See our 404 page"), page(404), []),
        (Done("submit", "Track", "/track", "get"), page(404, "/track?number=9"), []),  # a number that does not exist
        (Done("browser"), page(404), []),
        (LINK, page(403), []),
        (LINK, page(404, "/picture/9", kind="image"), [("dead_link", "GET /picture/{n} 404")]),
        (LINK, page(404, "/favicon.ico", kind="image"), []),
        (LINK, page(404, "/api/9", kind="fetch"), []),
        (LINK, page(502, "/api/9", kind="fetch"), [("error_page", "GET /api/{n} 502")]),
    ],
)
def test_statuses(done, answer, expected):
    assert sites(done, events(answer)) == expected


@pytest.mark.parametrize(
    ("message", "blocked", "expected"),
    [
        ("TypeError: Failed to fetch in /app.js", {"fetch"}, 0),
        ("TypeError: Failed to fetch in /app.js", set(), 1),
        ("ReferenceError: $ is not defined in /shop", {"script"}, 0),
        ("ReferenceError: $ is not defined in /shop", {"image"}, 1),
        ("RangeError: too deep in /app.js", {"script", "fetch"}, 1),
    ],
)
def test_what_follows_from_other_origins_being_out_of_reach_is_no_failure(message, blocked, expected):
    assert len(sites(LINK, events(exceptions=[message], blocked=blocked))) == expected
    assert len(sites(LINK, events(console=[message], blocked=blocked))) == expected


def test_only_sockets_of_the_application_matter():
    seen = events()
    for host in ("shop", "elsewhere"):
        seen.add_console("error", f"WebSocket connection to 'ws://{host}/w' failed: no", f"{ORIGIN}/", ORIGIN)
    assert len(seen.console) == 1


@pytest.mark.parametrize(
    ("name", "thrown_by_a_script", "expected"),
    [
        ("NotAllowedError", False, 0),
        ("NotAllowedError", True, 0),
        ("AbortError", True, 0),
        ("NotFoundError", False, 0),  # such as a camera
        ("NotFoundError", True, 1),  # such as a node to be removed
        ("SecurityError", False, 0),
        ("TypeError", False, 1),
    ],
)
def test_what_a_browser_refuses_or_lacks_is_no_failure(name, thrown_by_a_script, expected):
    seen = events()
    seen.add_exception(name, "no", f"{name}: no\n  at f ({ORIGIN}/app.js:1:5)" if thrown_by_a_script else "")
    assert len(sites(LINK, seen)) == expected


def test_a_message_on_what_a_browser_refused_is_no_failure():
    seen = events()
    seen.add_console("error", "cannot copy: NotAllowedError: Write permission denied.", f"{ORIGIN}/x.js", ORIGIN)
    assert not sites(LINK, seen)


def test_one_failure_for_each_template_of_a_message():
    seen = events()
    for text in ("order 7 failed", "order 12 failed", "Failed to load resource: 404"):
        seen.add_console("error", text, f"{ORIGIN}/x.js", ORIGIN)
    seen.add_console("error", "elsewhere", "http://other/x.js", ORIGIN)
    seen.add_console("warning", "careful", f"{ORIGIN}/x.js", ORIGIN)
    seen.add_exception("TypeError", "item 3 is undefined", f"TypeError: x\n  at f ({ORIGIN}/orders/7:12:5)")
    expected = [("console_error", "order # failed"), ("console_error", "TypeError: item # is undefined in /orders/{n}")]
    assert sites(LINK, seen) == expected


FORM = Done("submit", "Send", f"{ORIGIN}/contact", "post", {"email": "x", "text": "hello"}, ("email",))
SENT = page(303, "/contact", "POST", redirected=True), page(200, "/contact")


@pytest.mark.parametrize(
    ("done", "answers", "after", "expected"),
    [
        (FORM, SENT, {}, [("broken_validation", "POST /contact email")]),
        (FORM, (page(422, "/contact", "POST"),), {}, []),
        (FORM, (page(200, "/contact", "POST"),), {}, []),
        (FORM, SENT, {"errorsShown": True}, []),
        (FORM, SENT, {"text": "Please enter an address"}, []),
        (FORM, SENT, {"secret": True}, []),  # it asks for a log-in first
        (Done("submit", "Send", f"{ORIGIN}/contact", "post", {}, ()), SENT, {}, []),
        (Done("submit", "Find", f"{ORIGIN}/find", "get", {}, ("q",)), (page(200, "/find"),), {}, []),
    ],
)
def test_a_form_that_breaks_its_own_limits_and_is_taken(done, answers, after, expected):
    assert sites(done, events(*answers), after=report(**after)) == expected


@pytest.mark.parametrize(
    ("lines", "sums", "wrong"),
    [
        ([100, 200], [["Subtotal", 300], ["Delivery", 50], ["Total", 350]], []),
        ([100, 200], [["Subtotal", 200], ["Total", 200]], ["Subtotal"]),
        ([100, 200], [["Subtotal", 300], ["Discount", -30], ["Total", 300]], ["Total"]),
        ([100, 200], [["Total", 290]], ["Total"]),
        ([100, 200], [["Total", 350], ["incl. tax", 50]], []),  # what the rows of the foot mean is not known
        ([100, None], [["Total", 1]], []),
        ([], [["Total", 1]], []),
    ],
)
def test_totals(lines, sums, wrong):
    after = report(tables=[{"lines": lines, "sums": sums}])
    assert sites(LINK, events(), after=after) == [("wrong_total", f"/here {label}") for label in wrong]


def test_a_cart_is_lost_where_no_action_concerns_it():
    def lost(done, path, role_answers):
        memory = Memory(cart=2)
        after = report(cart=0, url=ORIGIN + path)
        return sites(done, events(*role_answers), after=after, memory=memory)

    help_page = (page(200, "/help/9"),)
    assert lost(Done("link", "delivery"), "/help/9", help_page) == [("lost_state", "cart GET /help/{n}")]
    assert lost(Done("link", "Clear cart"), "/help/9", help_page) == []
    assert lost(Done("link", "done"), "/checkout/done/9", (page(200, "/checkout/done/9"),)) == []
    assert lost(Done("browser"), "/help/9", help_page) == []
    assert lost(Done("link", "delivery"), "/help/9", ()) == []  # no page was loaded


def form(**values):
    fields = [{"name": name, "value": value} for name, value in values.items()]
    return [{"action": f"{ORIGIN}/contact", "method": "post", "fields": fields}]


def test_a_form_that_was_refused_keeps_what_was_entered():
    refused = events(page(422, "/contact", "POST"))
    lost = [("lost_state", "form /contact")]
    assert sites(FORM, refused, after=report(forms=form(email="", text=""))) == lost
    assert sites(FORM, refused, after=report(forms=form(email="", text="hello"))) == []
    # A form that was taken is empty afterwards.
    taken = Done("submit", "Send", f"{ORIGIN}/contact", "post", {"email": "a@example.com"}, ())
    memory = Memory()
    assert sites(taken, events(*SENT), after=report(forms=form(email="")), memory=memory) == []
    # Whoever goes back to it sees it again.
    back = Done("link", "Back to the form")
    assert sites(back, events(page(200)), after=report(forms=form(email="")), memory=memory) == lost
    assert sites(back, events(page(200)), after=report(forms=form(email="a@example.com")), memory=memory) == []
    assert sites(Done("link", "Contact"), events(page(200)), after=report(forms=form(email="")), memory=memory) == []


def test_a_request_without_a_response_is_named_with_its_method():
    seen = Events(failed={f"POST {ORIGIN}/orders/7": "net::ERR_EMPTY_RESPONSE"})
    assert sites(Done("submit", "Send", "/orders/7", "post"), seen) == [
        ("error_page", "POST /orders/{n} ERR_EMPTY_RESPONSE")
    ]
