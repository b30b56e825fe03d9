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
    "busy": "<p>busy</p><script>while (true) {}</script>",
    "busy-later": "<p>busy</p><script>setTimeout(() => { while (true) {} }, 50)</script>",
    "busy-button": "<button onclick='while (true) {}'>press</button>",
    "reload": "<p>again</p><script>location.replace('/reload?' + Math.random())</script>",
    "unload": "<a href='/other'>leave</a><script>onbeforeunload = (e) => { e.preventDefault(); return 1; }</script>",
    "other": "<p>other</p>",
    "file": "<a href='file:///etc/passwd'>file</a><a href='javascript:location=\"file:///etc/passwd\"'>script</a>",
    "memory": "<p>memory</p>"
    "<script>setTimeout(() => { for (const a = []; ; ) a.push(Array(1e6).fill(.5)) }, 50)</script>",
    "debugger": "<p>stop</p><script>debugger; setInterval(() => { debugger }, 10)</script>",
    "closes": "<button onclick='window.close()'>press</button><script>window.close()</script>",
    "history": "<script>for (let i = 0; i < 300; i++) history.pushState(0, '', '?' + i);"
    " onpopstate = () => history.go(1)</script><p>trap</p>",
    "builtins": "<p>broken</p><script>for (const name of ['map', 'filter', 'some', 'push', 'slice'])"
    " Array.prototype[name] = () => { throw Error('no') }; JSON.stringify = () => 1; document.querySelectorAll = 7;"
    "</script>",
    "names": "<form method=post action='/other'><input name=action><input name=id><input name=method><input name=name>"
    "<input name=target><input name=submit><input name=type></form>",
    "addresses": "<a href='data:text/html,<a href=/>x</a>'>data</a><a id=b>blob</a><a href='about:blank'>blank</a>"
    "<a href='http://'>none</a><a href='view-source:http://127.0.0.1/'>source</a>"
    "<script>b.href = URL.createObjectURL(new Blob(['<p>x'], { type: 'text/html' }))</script>",
    "markup": '<main><p>&lt;i data-webtest-probe="GET /x q"&gt;</p></main>',
}
# Pages that reach for another origin, which is to be put in place of OTHER.
OUTWARD = {
    "refresh": "<meta http-equiv=refresh content='0;url=OTHER/r'>",
    "sockets": "<p>sockets</p><script>fetch('OTHER/f').catch(() => 0); navigator.sendBeacon('OTHER/b', 'x');"
    " new WebSocket('OTHER/w'.replace('http', 'ws')); new EventSource('OTHER/e');"
    " try { new Worker(URL.createObjectURL(new Blob([`fetch('OTHER/k')`]))) } catch {}</script>",
    "script": "<p>script</p><script src='OTHER/lib.js'></script><script>lib.start()</script>",
    "form": "<form action='OTHER/s' method=post target=_blank><input name=x value=1></form>"
    "<script>document.forms[0].submit()</script>",
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
        elif name == "endless-body":
            handler.send_response(200)
            handler.send_header("Content-Type", "text/html")
            handler.end_headers()
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    handler.wfile.write(b"<p>more</p>")
        elif name == "password":
            page(handler, "who?", 401, WWW_Authenticate='Basic realm="x"')
        elif name == "garbage":
            handler.wfile.write(b"\x00\xff not http\r\n\r\n")
        elif name in OUTWARD:
            page(handler, OUTWARD[name].replace("OTHER", other))
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
    for name, actions in (("busy", ()), ("busy-button", [("button", "press")])):
        tester, results = visit(name, *actions, timeout_s=1.0)
        assert results[-1].timed_out
        assert "a tab did not answer" in tester.notes


@pytest.mark.verify
def test_a_page_of_50_mb(visit):
    visit("large", timeout_s=10.0)


def test_a_tab_that_crashes_is_replaced(visit, site, chromium, run):
    tester = Tester(chromium, f"{site[0]}/?other", timeout_s=2.0)
    run(tester.start())

    async def crash():
        session = await tester._tab.page.context.new_cdp_session(tester._tab.page)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(session.send("Page.crash"), 3)

    run(crash())
    result = run(tester.act(Candidate(element(tester, "link", "go"))))
    assert result.timed_out
    assert "a tab crashed" in tester.notes
    assert [one.element.text for one in tester.found] == ["Home", "go", "press"]
    run(tester.close())


@pytest.mark.verify
@pytest.mark.parametrize("name", [*OUTWARD])
def test_nothing_of_a_page_reaches_another_origin(visit, name):
    _, (result,) = visit(name)
    assert not result.failures


@pytest.mark.verify
@pytest.mark.parametrize(
    "name", ["memory", "debugger", "history", "builtins", "busy-later", "endless-body", "password", "garbage"]
)
def test_the_run_goes_on(visit, name):
    visit(name, timeout_s=1.0)


@pytest.mark.verify
def test_a_page_that_closes_itself_is_replaced(visit):
    _, results = visit("closes", ("button", "press"))
    assert not any(one.failures for one in results)


@pytest.mark.verify
def test_fields_with_names_of_attributes_are_filled_and_sent(visit):
    _, results = visit("names", ("text", ""), ("submit", ""))
    assert results[2].page.state.startswith("/other")


@pytest.mark.verify
@pytest.mark.parametrize("link", ["data", "blob", "blank", "none", "source"])
def test_addresses_that_are_no_pages_are_refused(visit, link):
    _, results = visit("addresses", ("link", link))
    assert not any(one.failures for one in results)
    assert results[1].page.state.startswith("/addresses")


@pytest.mark.verify
def test_escaped_markup_is_no_failure(visit):
    _, (result,) = visit("markup")
    assert not result.failures
