"""`rl-eval view` in a browser: an empty console, nothing cut off, readable text, keys that reach everything."""

import re
import threading

import pytest

pytest.importorskip("fastapi")

import uvicorn

from rl_eval.net import UVICORN, listening_socket
from rl_eval.serving.security import Access, GuardedApp
from rl_eval.view.app import make_app
from rl_eval.view.runs import Runs, run_id
from tests.report.browser import BINARY, CONTRAST, CUT, Browser
from tests.view.outputs import HOSTILE, write_outputs

pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on the path: pages are looked at in one")

BAD = f"/run/{run_id('2026-04-01/bad')}"
ADDRESSES = {
    "table": "/",
    "run": BAD,
    "criterion": f"{BAD}/criterion/0/0",
    "hostile": f"/run/{run_id(HOSTILE)}",
    "comparison": f"/compare?run={run_id('2026-04-01/bad')}&run={run_id(HOSTILE)}",
    "suites": "/suites",
    "suite": "/suite?name=pole",
    "ledger": "/ledger",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return write_outputs(tmp_path_factory.mktemp("view") / "outputs")


@pytest.fixture(scope="module")
def origin(outputs):
    app = GuardedApp(make_app(Runs(outputs)), Access(None, True, (), people=True), lambda *_: None, {})
    listener = listening_socket("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, **UVICORN))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=60)
    listener.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory, origin):
    opened = Browser(tmp_path_factory.mktemp("profile"), f"{origin}/")
    yield opened
    opened.close()


@pytest.mark.parametrize("name", ADDRESSES)
def test_nothing_is_cut_and_everything_is_readable(name, browser, origin):
    for width in (390, 1440):
        for scheme in ("light", "dark"):
            browser.messages.clear()
            browser.open(origin + ADDRESSES[name], width=width, scheme=scheme)
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate(CUT) == []
            result = browser.evaluate(CONTRAST)
            assert result["checked"] >= (20 if name in ("suites", "ledger") else 40)
            assert result["bad"] == []
            assert browser.messages == []
            assert "rl_eval" in browser.evaluate("document.title")


def test_a_report_in_the_view_runs_no_script(browser, origin):
    browser.open(f"{origin}{BAD}/report", width=1440)
    assert browser.evaluate("document.title") == "report"
    blocked = str(browser.messages)
    assert "Blocked script execution" in blocked or "Content Security Policy" in blocked
    browser.messages.clear()


def active(browser):
    return browser.evaluate("document.activeElement.outerHTML.slice(0, 200)")


def test_every_control_is_reached_by_the_tab_key(browser, origin):
    browser.open(f"{origin}/?q=good", width=1440)
    count = browser.evaluate(
        "[...document.querySelectorAll('a, input, select, button')].filter(n => n.getClientRects().length).length"
    )
    reached = set()
    for _ in range(count):
        browser.press("Tab", "Tab")
        reached.add(browser.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert len(reached) == count


def test_the_table_is_searched_while_one_types(browser, origin):
    browser.open(origin, width=1440)
    browser.evaluate("document.querySelector('[name=q]').focus()")
    browser.send("Input.insertText", text="seed=3")
    browser.wait_for("document.querySelectorAll('#rows tbody tr').length === 12")
    assert browser.evaluate("location.search") == "?q=seed%3D3&sort=started"
    assert browser.evaluate("document.activeElement.name") == "q"


def test_runs_are_ticked_and_compared_by_the_keyboard(browser, origin):
    browser.open(f"{origin}/?q=2026-04-01", width=1440)
    for index in (0, 1):
        browser.evaluate(f"document.querySelectorAll('[name=run]')[{index}].focus()")
        browser.press(" ", "Space")
    browser.evaluate("document.querySelector('.compare').focus()")
    browser.press("Enter", "Enter")
    browser.wait_for("document.querySelector('h1').textContent === '2 runs compared'")


def test_curves_and_rows_are_read_again_while_a_run_trains(browser, origin, outputs):
    browser.open(f"{origin}/run/{run_id('training')}", width=1440)
    assert "at the end 200" in browser.evaluate("document.getElementById('curves').textContent")
    with open(outputs / "training" / "metrics.csv", "a") as file:
        file.write("3000,333.5\n")
    browser.wait_for("document.getElementById('curves').textContent.includes('at the end 333.5')")
    browser.open(f"{origin}/?q=training", width=1440)
    browser.evaluate("document.querySelector('[name=run]').click()")
    info = outputs / "training" / "run.json"
    info.write_text(re.sub('"env_steps": 20480', '"env_steps": 3300000', info.read_text()))
    browser.wait_for("document.getElementById('rows').textContent.includes('3.3M')")
    assert browser.evaluate("document.querySelector('[name=run]').checked")


def test_every_chart_and_control_has_a_name(browser, origin):
    for address in ADDRESSES.values():
        browser.open(origin + address, width=1440)
        nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"image", "img", "checkbox", "link", "heading", "region", "navigation", "table", "button", "searchbox"}
        nameless = [
            node["role"]["value"]
            for node in nodes
            if not node.get("ignored") and node["role"]["value"] in roles and not node.get("name", {}).get("value")
        ]
        assert nameless == []
