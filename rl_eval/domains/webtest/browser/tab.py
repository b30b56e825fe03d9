"""`Tab`: one tab of a browser context: what it loads, when it is quiet, and what its page shows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rl_eval.domains.webtest.browser.events import Answer, Events
from rl_eval.domains.webtest.browser.reading import LIMITS, READ
from rl_eval.domains.webtest.browser.sites import origin_of

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, ConsoleMessage, Download, Page, Request, Response

LOADS_S = 1.5  # for a click that opens a page to ask for it
SETTLE_S = 0.04  # after a click that does not
QUIET_S = 1.0  # for a page's requests to end without being late
ANSWER_S = 5.0  # for an answer of a script in the page
BLANK: Mapping[str, Any] = {
    "url": "", "title": "", "heading": "", "text": "", "head": "", "cart": -1, "elements": [], "errorsShown": False,
    "tables": [], "forms": [], "probes": [], "secret": False,
}  # fmt: skip


class Tab:
    """A tab; made by `new_tab`.

    Args:
        events: what it reports is added here until `begin`.
        timeout_s: limit for the loading of a page; what takes longer is given up.

    Attributes:
        crashed: whether its process has ended.
    """

    def __init__(self, page: Page, origin: str, timeout_s: float, events: Events):
        self.page, self.events, self.crashed = page, events, False
        self._origin, self._timeout_s = origin, timeout_s
        self._pending: Request | None = None  # the request of the next page
        self._loading: set[Request] = set()
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("requestfinished", self._on_finished)
        page.on("requestfailed", self._on_failed)
        page.on("framenavigated", lambda frame: self._on_navigated() if frame == page.main_frame else None)
        page.on("console", self._on_console)
        page.on("pageerror", lambda e: self.events.add_exception(e.name or "Error", e.message or "", e.stack or ""))
        page.on("download", self._on_download)
        page.on("popup", self._on_popup)
        page.on("crash", self._on_crash)

    # --- events --------------------------------------------------------------------------------------

    def _on_request(self, request: Request) -> None:
        self._loading.add(request)
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self._pending = request
            self.events.blocked.clear()  # those of the page before
            if origin_of(request.url) != self._origin:
                self.events.left.append(request.url[:300])

    def _on_response(self, response: Response) -> None:
        request = response.request
        main = request.is_navigation_request() and request.frame == self.page.main_frame
        kind = "document" if main else request.resource_type
        answer = Answer(request.method, response.url, response.status, kind, 300 <= response.status < 400)
        self.events.add_answer(answer, self._origin)

    def _on_finished(self, request: Request) -> None:
        self._loading.discard(request)
        if request is self._pending:
            self._pending = None

    def _on_failed(self, request: Request) -> None:
        if origin_of(request.url) != self._origin:
            self.events.blocked.add(request.resource_type)
        elif len(self.events.failed) < 50:
            self.events.failed[f"{request.method} {request.url}"] = request.failure or ""
        self._on_finished(request)

    def _on_navigated(self) -> None:
        self._pending = None

    def _on_console(self, message: ConsoleMessage) -> None:
        self.events.add_console(message.type, message.text, message.location.get("url", ""), self._origin)

    def _on_crash(self, page: Page) -> None:
        self.crashed = True

    def _on_download(self, download: Download) -> None:
        self.events.downloads += 1
        self._pending = None

    def _on_popup(self, popup: Page) -> None:
        self.events.windows += 1
        _close_some_time(popup)

    # --- what it does --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Collect the events of another action, on the page that is open."""
        self.events = Events(blocked=self.events.blocked)

    async def open(self, url: str, patience_s: float | None = None) -> bool:
        """Open an address; whether a page of the application came.

        Args:
            patience_s: time for its answer; None: that of any page.
        """
        with contextlib.suppress(Exception):
            await self.page.goto(url, wait_until="commit", timeout=(patience_s or self._timeout_s) * 1000)
            await self.settle()
            return origin_of(self.page.url) == self._origin
        return False

    async def back(self) -> None:
        """Go back in the history."""
        with contextlib.suppress(Exception):
            await self.page.go_back(wait_until="commit", timeout=self._timeout_s * 1000)
            await self.settle()

    async def evaluate(self, script: str, argument: Any) -> Any:
        """What a script in the page returns; None if the page is gone or does not answer in time."""
        with contextlib.suppress(Exception):
            return await asyncio.wait_for(self.page.evaluate(script, argument), ANSWER_S)
        return None

    async def settle(self, loads: bool = False) -> None:
        """Wait until the page that was asked for has come, and what it loads.

        Args:
            loads: whether a page must have been asked for.
        """
        until = time.monotonic() + (LOADS_S if loads else SETTLE_S)
        answered = len(self.events.answers)
        while time.monotonic() < until and not self._pending and not self.crashed:
            if loads and (self.events.left or self.events.failed or len(self.events.answers) > answered):
                break
            await asyncio.sleep(0.005)
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end and not self.crashed:
            if self._pending is not None:
                await asyncio.sleep(0.005)
                continue
            with contextlib.suppress(Exception):
                left = max(end - time.monotonic(), 0.001)
                await self.page.wait_for_load_state("domcontentloaded", timeout=left * 1000)
            quiet = time.monotonic() + QUIET_S
            while self._loading and self._pending is None and time.monotonic() < min(quiet, end):
                await asyncio.sleep(0.005)
            if self._pending is None:
                return

    async def give_up(self) -> bool:
        """Stop waiting for the page that was asked for, if it has not come; whether there was one."""
        if self._pending is None:
            return False
        with contextlib.suppress(Exception):
            session = await asyncio.wait_for(self.page.context.new_cdp_session(self.page), ANSWER_S)
            await asyncio.wait_for(session.send("Page.stopLoading"), ANSWER_S)
            await session.detach()
        self._pending = None
        return True

    async def read(self) -> Mapping[str, Any] | None:
        """What the page shows, as `read_page.js` says it; None if the tab is gone or does not answer."""
        end = time.monotonic() + max(self._timeout_s, ANSWER_S)
        while time.monotonic() < end and not self.crashed:
            try:
                left = max(end - time.monotonic(), 0.1)
                report = await asyncio.wait_for(self.page.evaluate(READ, LIMITS), left)
                return {**BLANK, **report}
            except TimeoutError:
                return None
            except Exception:
                if self.page.is_closed() or self.crashed:
                    return None
                await self.settle()  # another page came meanwhile
        return None

    async def screenshot(self) -> bytes | None:
        """The page as PNG; None if the browser draws none."""
        with contextlib.suppress(Exception):
            return await self.page.screenshot(timeout=ANSWER_S * 1000)
        return None

    def leave(self) -> None:
        """Close it some time: a tab that does not answer may never do so, and nothing waits for it."""
        _close_some_time(self.page)


async def new_tab(context: BrowserContext, origin: str, timeout_s: float, events: Events) -> Tab:
    """A tab in a context."""
    return Tab(await context.new_page(), origin, timeout_s, events)


def _close_some_time(page: Page) -> None:
    closing = asyncio.ensure_future(page.close())
    closing.add_done_callback(lambda task: task.cancelled() or task.exception())
