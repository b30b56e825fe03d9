"""`Tester`: one browser context that explores one application."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rl_eval.domains.webtest.browser.chromium import Chromium
from rl_eval.domains.webtest.browser.events import Answer, Events
from rl_eval.domains.webtest.browser.failures import Done, Memory, failures
from rl_eval.domains.webtest.browser.first_page import why_it_did_not_come
from rl_eval.domains.webtest.browser.reading import ACT, LIMITS, PREPARE, READ, SENT, Found, found_elements, page_of
from rl_eval.domains.webtest.browser.sites import host_of, origin_of, path_template
from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.browser.values import Field, value_for
from rl_eval.domains.webtest.page import BACK, START, VALUES_OF, ActionResult, Candidate, Page, ValueKind
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, ConsoleMessage, Request, Response
    from playwright.async_api import Page as Tab

LOADS_S = 1.5  # in which a click that opens a page must have asked for it
SETTLE_S = 0.04  # after a click that does not
FIRST_S = 60.0  # for the first page of a fresh context: nothing is tested yet, and the machine may be busy
QUIET_S = 1.0  # in which what a page loads must have come, without being late
ANSWER_S = 5.0  # in which a script in the page must answer
WHOLE_S = 120.0  # for one action at most, with all that it takes to recover
_BLANK: dict[str, Any] = {
    "url": "", "title": "", "heading": "", "text": "", "head": "", "cart": -1, "elements": [], "errorsShown": False,
    "tables": [], "forms": [], "probes": [], "secret": False,
}  # fmt: skip


class Tester:
    """A tester with a browser context of its own, which never leaves the origin of one application.

    Args:
        base_url: the first page.
        timeout_s: time in which a page must load; what takes longer is given up.
        values: valid values for fields, by name.
        headers: sent with every request.
        storage: cookies and local storage to start with, as Playwright's `storage_state`.

    Attributes:
        report: what `read_page.js` says of the page.
        found: the elements of the page.
        steps: everything that was done since `start`.
        notes: what happened to the browser itself, such as a tab that crashed.
    """

    __test__ = False  # no class of tests

    def __init__(
        self,
        chromium: Chromium,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        values: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        storage: Mapping[str, Any] | None = None,
    ):
        self._chromium, self.base_url, self._timeout_s = chromium, base_url, timeout_s
        self.origin, self._values = origin_of(base_url), dict(values or {})
        self._options = {"extra_http_headers": dict(headers or {}), "storage_state": storage}
        self._context: BrowserContext | None = None
        self._tab: Tab | None = None
        self._events, self._memory = Events(), Memory()
        self._pending: Request | None = None  # the request of the next page
        self._loading: set[Request] = set()
        self._crashed = False
        self._distance: dict[str, int] = {}
        self.report: Mapping[str, Any] = _BLANK
        self.found: tuple[Found, ...] = ()
        self.steps: list[Step] = []
        self.notes: list[str] = []

    # --- what is called from outside -----------------------------------------------------------------

    async def start(self) -> ActionResult:
        """A fresh context on the first page.

        Raises:
            InputError: the application does not answer.
        """
        try:
            return await asyncio.wait_for(self._start(), WHOLE_S)
        except TimeoutError as error:
            raise InputError(
                f"{self.base_url} and the browser did not get ready within {WHOLE_S:g} s: run less beside them"
            ) from error

    async def act(self, candidate: Candidate) -> ActionResult:
        """Do what a candidate of the page says."""
        try:
            return await asyncio.wait_for(self._act(candidate), WHOLE_S)
        except TimeoutError:
            return await self._begin_again("an action took more than two minutes")
        except Exception as error:
            if "closed" not in str(error) and "crash" not in str(error).lower():
                raise
            return await self._begin_again("the browser crashed")

    async def _begin_again(self, note: str) -> ActionResult:
        """A fresh context after the browser itself failed; what was done before is kept as notes alone."""
        notes = [*self.notes, note]
        result = await asyncio.wait_for(self._start(), WHOLE_S)
        self.notes = notes
        return replace(result, timed_out=True)

    async def screenshot(self) -> bytes | None:
        """The page as PNG; None where the browser draws none."""
        assert self._tab is not None
        with contextlib.suppress(Exception):
            return await self._tab.screenshot(timeout=ANSWER_S * 1000)
        return None

    # --- context and tab -----------------------------------------------------------------------------

    async def close(self) -> None:
        """End the context."""
        context, self._context, self._tab = self._context, None, None
        if context is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(context.close(), ANSWER_S)

    async def _start(self) -> ActionResult:
        began = time.monotonic()
        await self.close()
        options = {name: value for name, value in self._options.items() if value}
        self._context = await self._chromium.context(host_of(self.base_url), **options)
        await self._context.add_init_script(PREPARE)
        self._memory, self._distance, self.steps, self.notes = Memory(), {}, [], []
        self.report, self.found = _BLANK, ()
        await self._new_tab()
        self._events = Events()
        if not await self._open(self.base_url, max(self._timeout_s, FIRST_S)):
            raise InputError(why_it_did_not_come(self.base_url, self._events, self._timeout_s))
        self.steps.append(Step("open", value=self.base_url))
        return await self._result(Done("browser"), _BLANK, began)

    async def _new_tab(self) -> None:
        """Another tab in the same context: the old one is gone, or does not answer any more."""
        assert self._context is not None
        old, self._tab = self._tab, await self._context.new_page()
        self._pending, self._loading, self._crashed = None, set(), False
        tab = self._tab
        tab.on("request", self._on_request)
        tab.on("response", self._on_response)
        tab.on("requestfinished", self._on_finished)
        tab.on("requestfailed", self._on_failed)
        tab.on("framenavigated", lambda frame: self._on_navigated() if frame == tab.main_frame else None)
        tab.on("console", self._on_console)
        tab.on("pageerror", lambda e: self._events.add_exception(e.name or "Error", e.message or "", e.stack or ""))
        tab.on("download", lambda _: self._on_download())
        tab.on("popup", self._on_popup)
        tab.on("crash", self._on_crash)
        if old is not None:
            # It may never answer, so nothing waits for it.
            closing = asyncio.ensure_future(old.close())
            closing.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _on_request(self, request: Request) -> None:
        self._loading.add(request)
        if self._tab and request.is_navigation_request() and request.frame == self._tab.main_frame:
            self._pending = request
            if origin_of(request.url) != self.origin:
                self._events.left.append(request.url[:300])

    def _on_response(self, response: Response) -> None:
        request = response.request
        main = bool(self._tab and request.is_navigation_request() and request.frame == self._tab.main_frame)
        kind = "document" if main else request.resource_type
        answer = Answer(request.method, response.url, response.status, kind, 300 <= response.status < 400)
        self._events.add_answer(answer, self.origin)

    def _on_finished(self, request: Request) -> None:
        self._loading.discard(request)
        if request is self._pending:
            self._pending = None

    def _on_failed(self, request: Request) -> None:
        if origin_of(request.url) == self.origin and len(self._events.failed) < 50:
            self._events.failed[request.url] = request.failure or ""
        self._on_finished(request)

    def _on_navigated(self) -> None:
        self._pending = None

    def _on_console(self, message: ConsoleMessage) -> None:
        self._events.add_console(message.type, message.text, message.location.get("url", ""), self.origin)

    def _on_crash(self, tab: Tab) -> None:
        self._crashed = self._crashed or tab is self._tab

    def _on_download(self) -> None:
        self._events.downloads += 1
        self._pending = None

    def _on_popup(self, popup: Tab) -> None:
        self._events.windows += 1
        closing = asyncio.ensure_future(popup.close())
        closing.add_done_callback(lambda task: task.cancelled() or task.exception())

    # --- actions -------------------------------------------------------------------------------------

    async def _act(self, candidate: Candidate) -> ActionResult:
        began, before = time.monotonic(), self.report
        self._events = Events()
        done = Done("browser")
        if candidate is START or candidate.key == START.key:
            self.steps.append(Step("open", value=self.base_url, url=before["url"]))
            await self._open(self.base_url)
        elif candidate is BACK or candidate.key == BACK.key:
            self.steps.append(Step("back", url=before["url"]))
            await self._back()
        else:
            item = next((item for item in self.found if item.element.key == candidate.element.key), None)
            if item is None:
                raise ValueError(f"the page has no element {candidate.element.key!r}")
            if self._leaves(item):
                page = page_of(self.report, self.found, 200)
                return ActionResult(page, refused=True, seconds=time.monotonic() - began)
            done = await self._do(item, candidate.value_kind)
        return await self._result(done, before, began)

    def _leaves(self, item: Found) -> bool:
        """Whether an element says that it leads to another origin, or to something that is no page."""
        target = item.raw["href"] if item.element.role == "link" else item.raw["action"]
        scheme = target.partition(":")[0].lower()
        if item.element.role not in ("link", "submit") or not target or scheme == "javascript":
            return False
        return origin_of(target) != self.origin

    async def _do(self, item: Found, kind: ValueKind | None) -> Done:
        element = item.element
        if element.role in VALUES_OF:
            await self._fill(item, kind or "valid")
            await self._settle(False)
            return Done(element.role, element.text)
        if element.role == "submit":
            await self._fill_rest(item)
        return await self._click(item)

    async def _fill(self, item: Found, kind: ValueKind) -> None:
        if item.element.role == "choice":
            do, value = "choose", "last" if kind == "boundary" else "first"
        else:
            do, value = "fill", value_for(self._named(item), kind, self._values)
        self._record(item, do, value, kind)
        await self._evaluate(ACT, [item.raw["index"], do, value, kind])

    def _named(self, item: Found) -> Field:
        """The field, with the method and the address that its form is sent to."""
        method = next((f["method"] for f in self.report["forms"] if f["action"] == item.raw["action"]), "get")
        return replace(item.field, action=f"{method.upper()} {item.field.action}")

    async def _fill_rest(self, submit: Found) -> None:
        """Give the fields of a form that hold nothing, and that nobody filled, a valid value."""
        for item in self.found:
            same = item.raw["form"] == submit.raw["form"] >= 0
            untouched = item.element.role in VALUES_OF and not item.raw["touched"] and item.raw["empty"]
            if same and untouched:
                await self._fill(item, "valid")

    async def _click(self, item: Found) -> Done:
        role = item.element.role
        do = "submit" if role == "submit" else "click"
        sent = await self._sent(item) if do == "submit" else {}
        self._record(item, do)
        answer = await self._evaluate(ACT, [item.raw["index"], do, "", None]) or {}
        await self._settle(bool(answer.get("loads")))
        text = f"{item.element.text} {path_template(item.raw['href'])}"
        form = next((f for f in self.report["forms"] if f["action"] == item.raw["action"]), None)
        method = form["method"] if form and role == "submit" else ""
        violations = tuple(map(str, answer.get("violations", ())))
        return Done(role, text, item.raw["action"], method, sent, violations)

    async def _sent(self, item: Found) -> dict[str, str]:
        """What the form of a submit control holds."""
        pairs = await self._evaluate(SENT, item.raw["index"]) or []
        return {str(name): str(value) for name, value in pairs}

    def _record(self, item: Found, do: Any, value: str = "", kind: ValueKind | None = None) -> None:
        raw = item.raw
        secret = item.element.role == "secret" and kind == "valid" and raw["name"] in self._values
        step = Step(do, raw["css"], raw["nth"], value, item.element.text or raw["name"], self.report["url"], secret)
        self.steps.append(step)

    async def _open(self, url: str, patience_s: float | None = None) -> bool:
        """Open an address; whether a page of the application came."""
        assert self._tab is not None
        with contextlib.suppress(Exception):
            await self._tab.goto(url, wait_until="commit", timeout=(patience_s or self._timeout_s) * 1000)
            await self._settle(False)
            return origin_of(self._tab.url) == self.origin
        return False

    async def _back(self) -> None:
        assert self._tab is not None
        with contextlib.suppress(Exception):
            await self._tab.go_back(wait_until="commit", timeout=self._timeout_s * 1000)
            await self._settle(False)

    async def _evaluate(self, script: str, argument: Any, patience_s: float = ANSWER_S) -> Any:
        """What a script in the page returns; None where the page is gone or does not answer in time."""
        assert self._tab is not None
        with contextlib.suppress(Exception):
            return await asyncio.wait_for(self._tab.evaluate(script, argument), patience_s)
        return None

    async def _stop_loading(self) -> None:
        """Give up the page that was asked for."""
        assert self._tab is not None
        with contextlib.suppress(Exception):
            session = await asyncio.wait_for(self._tab.context.new_cdp_session(self._tab), ANSWER_S)
            await asyncio.wait_for(session.send("Page.stopLoading"), ANSWER_S)
            await session.detach()

    async def _settle(self, loads: bool) -> None:
        """Wait until the page that was asked for has come, and what it loads."""
        assert self._tab is not None
        until = time.monotonic() + (LOADS_S if loads else SETTLE_S)
        answered = len(self._events.answers)
        while time.monotonic() < until and not self._pending and not self._crashed:
            if loads and (self._events.left or self._events.failed or len(self._events.answers) > answered):
                break
            await asyncio.sleep(0.005)
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end and not self._crashed:
            if self._pending is not None:
                await asyncio.sleep(0.005)
                continue
            with contextlib.suppress(Exception):
                left = max(end - time.monotonic(), 0.001)
                await self._tab.wait_for_load_state("domcontentloaded", timeout=left * 1000)
            quiet = time.monotonic() + QUIET_S
            while self._loading and self._pending is None and time.monotonic() < min(quiet, end):
                await asyncio.sleep(0.005)
            if self._pending is None:
                return

    # --- what came of it -----------------------------------------------------------------------------

    async def _result(self, done: Done, before: Mapping[str, Any], began: float) -> ActionResult:
        """Read the page, recover from what is no page, and judge what happened."""
        events = self._events
        timed_out = self._pending is not None
        if timed_out and self._tab is not None:
            await self._stop_loading()
            self._pending = None
        report = await self._read()
        refused = bool(events.left)
        if report is None:
            timed_out = True
            self.notes.append("a tab crashed" if self._crashed else "a tab did not answer")
            await self._new_tab()
            report = await self._recover(self.base_url)
        elif origin_of(report["url"]) != self.origin:
            report = await self._recover(before["url"] if refused else self.base_url)
        answer = events.document()
        status = answer.status if answer else 200
        self.report, self.found = report, found_elements(report)
        page = page_of(report, self.found, status)
        came = tuple(failures(done, before, report, events, self._memory)) if report is not _BLANK else ()
        return ActionResult(
            page, came, refused=refused, timed_out=timed_out, seconds=time.monotonic() - began,
            traffic=self._traffic(page, done, before),
        )  # fmt: skip

    async def _read(self) -> dict[str, Any] | None:
        """What the page shows; None where the tab is gone or does not answer."""
        end = time.monotonic() + max(self._timeout_s, ANSWER_S)
        while time.monotonic() < end and not self._crashed:
            assert self._tab is not None
            try:
                left = max(end - time.monotonic(), 0.1)
                report = await asyncio.wait_for(self._tab.evaluate(READ, LIMITS), left)
                return {**_BLANK, **report}
            except TimeoutError:
                return None
            except Exception:
                if self._tab.is_closed() or self._crashed:
                    return None
                await self._settle(False)  # another page came meanwhile
        return None

    async def _recover(self, url: str) -> dict[str, Any]:
        """The first page, or the one before, after the tab was left without a page of the application."""
        for address in dict.fromkeys((url, self.base_url)):
            if origin_of(address) != self.origin:
                continue
            self.steps.append(Step("open", value=address))
            if await self._open(address):
                self._pending = None
                report = await self._read()
                if report is not None and origin_of(report["url"]) == self.origin:
                    return report
            self.steps.pop()
        return _BLANK

    def _traffic(self, page: Page, done: Done, before: Mapping[str, Any]) -> float:
        """An estimate of the share of users who come by a page: 1 / (1 + the fewest pages that lead to it)."""
        here = path_template(self.report["url"])
        if self.report["url"] == self.base_url or not self._distance:
            self._distance[here] = 0
        nearest = self._distance.get(path_template(before["url"]) if before["url"] else here, 0)
        distance = self._distance.setdefault(here, nearest + 1)
        self._distance[here] = min(distance, nearest + 1)
        return 1.0 / (1.0 + self._distance[here])
