"""Pages that misbehave: none ends the run, none takes the tester to another origin."""

import asyncio
import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rl_eval.domains.webtest.browser import Tester
from rl_eval.domains.webtest.page import START, Candidate
from tests.domains.webtest.browser.walks import element

HOME = (
    "<nav><a href='/'>Home</a></nav><main><a href='/{0}'>go</a><button onclick='window.clicked=1'>press</button></main>"
)
PAGES = {
    "dialogs": "<button onclick='while (true) alert(1)'>storm</button>",
    "windows": "<button onclick='for (let i = 0; i < 50; i++) window.open(\"/other\")'>storm</button>"
    "<a href='/other' target='_blank'>new tab</a>",
    "busy": "<p>busy</p><script>setTimeout(() => { while (true) {} }, 50)</script>",
    "reload": "<p>again</p><script>location.replace('/reload?' + Math.random())</script>",
    "unload": "<a href='/other'>leave</a><script>onbeforeunload = (e) => { e.preventDefault(); return 1; }</script>",
    "other": "<p>other</p>",
    "file": "<a href='file:///etc/passwd'>file</a><a href='javascript:location=\"file:///etc/passwd\"'>script</a>",
    "markup": '<main><p>&lt;i data-webtest-probe="GET /x q"&gt;</p></main>',
}
LINKS = (
    "<a href='OTHER/a'>foreign</a><form method=post action='OTHER/b'><input name=x><button>send</button></form>"
    "<button onclick='location=\"OTHER/c\"'>script</button><iframe src='OTHER/d'></iframe><img src='OTHER/e'>"
    "<a href='mailto:x@example.com'>mail</a>"
)


def serve(answer):
    """A server on loopback that counts what it is asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer(self)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}", asked


def page(handler, text, status=200, **headers):
    content = f"<!doctype html><title>x</title><body>{text}</body>".encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "text/html", "Content-Length": len(content), **headers}.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture(scope="module")
def elsewhere():
    server, url, asked = serve(lambda handler: page(handler, "elsewhere"))
    yield url, asked
    server.shutdown()


@pytest.fixture(scope="module")
def site(elsewhere):
    other = elsewhere[0]

    def answer(handler):
        name = handler.path.partition("?")[0].strip("/")
        if name == "endless":
            page(handler, "", 302, Location=f"/endless?{time.monotonic_ns()}")
        elif name == "away":
            page(handler, "", 302, Location=other)
        elif name == "download":
            page(handler, "content", Content_Disposition="attachment; filename=x.bin", Content_Type="application/x")
        elif name == "silent":
            ended.wait(60)
        elif name == "large":
            page(handler, "<main>" + "<div><p>text <b>bold</b></p></div>" * 1_500_000 + "</main>")
        elif name == "links":
            page(handler, LINKS.replace("OTHER", other))
        elif name in PAGES:
            page(handler, f"<nav><a href='/'>Home</a></nav>{PAGES[name]}")
        else:
            page(handler, HOME.format(handler.path.partition("?")[2]))

    ended = threading.Event()
    server, url, asked = serve(answer)
    yield url, asked
    ended.set()
    server.shutdown()


@pytest.fixture
def visit(site, elsewhere, chromium, run):
    """Opens `/?name`, follows the link to `/name`, does some actions, and checks that the tester is still at work."""
    testers = []

    def go(name, *actions, timeout_s=2.0):
        before = len(elsewhere[1])
        tester = Tester(chromium, f"{site[0]}/?{name}", timeout_s=timeout_s)
        testers.append(tester)
        run(tester.start())
        results = [run(tester.act(Candidate(element(tester, "link", "go"))))]
        results += [run(tester.act(Candidate(element(tester, role, text)))) for role, text in actions]
        last = run(tester.act(START))
        assert [one.element.text for one in tester.found] == ["Home", "go", "press"], tester.report
        assert last.page.status == 200
        assert len(elsewhere[1]) == before
        return tester, results

    yield go
    for tester in testers:
        run(tester.close())


@pytest.mark.verify
def test_an_endless_redirect_is_a_failure(visit):
    _, (result,) = visit("endless")
    assert [one.site for one in result.failures] == ["GET /endless ERR_TOO_MANY_REDIRECTS"]


def test_links_forms_scripts_and_frames_to_elsewhere_are_refused(visit, elsewhere):
    actions = ("link", "foreign"), ("submit", "send"), ("link", "mail"), ("button", "script")
    _, results = visit("links", *actions)
    assert [one.refused for one in results] == [False, True, True, True, True]
    assert not any(one.failures for one in results)


def test_a_redirect_to_elsewhere_is_refused(visit):
    _, (result,) = visit("away")
    assert result.refused


@pytest.mark.verify
def test_links_to_files_are_refused(visit):
    _, results = visit("file", ("link", "file"), ("link", "script"))
    assert results[1].refused
    assert not any(one.failures for one in results)


@pytest.mark.verify
def test_a_storm_of_dialogs_ends(visit):
    _, results = visit("dialogs", ("button", "storm"))
    assert not any(one.failures for one in results)


@pytest.mark.verify
def test_windows_stay_in_one_tab(visit):
    _, results = visit("windows", ("button", "storm"))
    assert results[1].page.state.startswith("/windows")
    assert not results[1].failures
    _, results = visit("windows", ("link", "new tab"))
    assert results[1].page.state.startswith("/other")


@pytest.mark.verify
def test_a_question_before_leaving_holds_nobody(visit):
    _, results = visit("unload", ("link", "leave"))
    assert results[1].page.state.startswith("/other")


@pytest.mark.verify
def test_a_download_leaves_the_page(visit):
    _, (result,) = visit("download")
    assert not result.failures
    assert not result.timed_out


@pytest.mark.verify
def test_a_page_that_never_loads_times_out(visit):
    _, (result,) = visit("silent", timeout_s=1.0)
    assert result.timed_out
    assert not result.failures


@pytest.mark.verify
def test_a_page_that_reloads_forever_times_out(visit):
    visit("reload", timeout_s=1.0)


@pytest.mark.verify
def test_a_script_that_never_ends_costs_its_tab(visit):
    tester, (first, *_) = visit("busy", timeout_s=1.0)
    assert first.timed_out or "a tab did not answer" in tester.notes


@pytest.mark.verify
def test_a_page_of_50_mb(visit):
    visit("large", timeout_s=10.0)


def test_a_tab_that_crashes_is_replaced(visit, site, chromium, run):
    tester = Tester(chromium, f"{site[0]}/?other", timeout_s=2.0)
    run(tester.start())

    async def crash():
        session = await tester._tab.context.new_cdp_session(tester._tab)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(session.send("Page.crash"), 3)

    run(crash())
    result = run(tester.act(Candidate(element(tester, "link", "go"))))
    assert result.timed_out
    assert "a tab crashed" in tester.notes
    assert [one.element.text for one in tester.found] == ["Home", "go", "press"]
    run(tester.close())


@pytest.mark.verify
def test_escaped_markup_is_no_failure(visit):
    _, (result,) = visit("markup")
    assert not result.failures
