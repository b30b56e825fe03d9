"""`Tester`: one browser context that explores one application."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rl_eval.domains.webtest.browser.chromium import Chromium
from rl_eval.domains.webtest.browser.events import Events
from rl_eval.domains.webtest.browser.failures import Done, Memory, failures
from rl_eval.domains.webtest.browser.first_page import why_it_did_not_come
from rl_eval.domains.webtest.browser.reading import ACT, PREPARE, SENT, Found, found_elements, page_of
from rl_eval.domains.webtest.browser.sites import host_of, origin_of, path_template
from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.browser.tab import ANSWER_S, BLANK, Tab, new_tab
from rl_eval.domains.webtest.browser.values import Field, value_for
from rl_eval.domains.webtest.page import BACK, START, VALUES_OF, ActionResult, Candidate, ValueKind
from rl_eval.errors import InputError

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

WHOLE_S = 120.0  # for one action at most, with all that it takes to recover


class Tester:
    """A tester with a browser context of its own, which never leaves the origin of one application.

    Args:
        base_url: the first page.
        timeout_s: limit for the loading of a page; what takes longer is given up.
        first_s: the same for the first page, without which there is nothing to test; None: as any page.
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
        first_s: float | None = None,
        values: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        storage: Mapping[str, Any] | None = None,
    ):
        self._chromium, self.base_url, self._timeout_s = chromium, base_url, timeout_s
        self._first_s = timeout_s if first_s is None else first_s
        self.origin, self._values = origin_of(base_url), dict(values or {})
        self._options = {"extra_http_headers": dict(headers or {}), "storage_state": storage}
        self._context: BrowserContext | None = None
        self._tab: Tab
        self._memory = Memory()
        self._distance: dict[str, int] = {}
        self.report: Mapping[str, Any] = BLANK
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
                f"{self.base_url} and the browser were not ready within {WHOLE_S:g} s: run fewer other programs"
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
        """A fresh context after the browser itself failed; what was done before is kept only as notes."""
        notes = [*self.notes, note]
        result = await self.start()
        self.notes = notes
        return replace(result, timed_out=True)

    async def screenshot(self) -> bytes | None:
        """The page as PNG; None if the browser draws none."""
        return await self._tab.screenshot()

    # --- context and tab -----------------------------------------------------------------------------

    async def close(self) -> None:
        """End the context."""
        context, self._context = self._context, None
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
        self.report, self.found = BLANK, ()
        self._tab = await new_tab(self._context, self.origin, self._timeout_s, Events())
        if not await self._tab.open(self.base_url, self._first_s):
            raise InputError(why_it_did_not_come(self.base_url, self._tab.events, self._first_s))
        self.steps.append(Step("open", value=self.base_url))
        return await self._result(Done("browser"), BLANK, began)

    async def _replace_tab(self) -> None:
        """Another tab in the same context: the old one is gone, or does not answer any more."""
        assert self._context is not None
        old = self._tab
        self._tab = await new_tab(self._context, self.origin, self._timeout_s, old.events)
        old.leave()

    # --- actions -------------------------------------------------------------------------------------

    async def _act(self, candidate: Candidate) -> ActionResult:
        began, before = time.monotonic(), self.report
        self._tab.begin()
        done = Done("browser")
        if candidate is START or candidate.key == START.key:
            self.steps.append(Step("open", value=self.base_url, url=before["url"]))
            await self._tab.open(self.base_url)
        elif candidate is BACK or candidate.key == BACK.key:
            self.steps.append(Step("back", url=before["url"]))
            await self._tab.back()
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
        """Whether an element says that it leads to another origin, or to something that is not a page."""
        target = item.raw["href"] if item.element.role == "link" else item.raw["action"]
        scheme = target.partition(":")[0].lower()
        if item.element.role not in ("link", "submit") or not target or scheme == "javascript":
            return False
        return origin_of(target) != self.origin

    async def _do(self, item: Found, kind: ValueKind | None) -> Done:
        element = item.element
        if element.role in VALUES_OF:
            await self._fill(item, kind or "valid")
            await self._tab.settle()
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
        await self._tab.evaluate(ACT, [item.raw["index"], do, value, kind])

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
        answer = await self._tab.evaluate(ACT, [item.raw["index"], do, "", None]) or {}
        await self._tab.settle(loads=bool(answer.get("loads")))
        text = f"{item.element.text} {path_template(item.raw['href'])}"
        form = next((f for f in self.report["forms"] if f["action"] == item.raw["action"]), None)
        method = form["method"] if form and role == "submit" else ""
        violations = tuple(map(str, answer.get("violations", ())))
        return Done(role, text, item.raw["action"], method, sent, violations)

    async def _sent(self, item: Found) -> dict[str, str]:
        """What the form of a submit control holds."""
        pairs = await self._tab.evaluate(SENT, item.raw["index"]) or []
        return {str(name): str(value) for name, value in pairs}

    def _record(self, item: Found, do: Any, value: str = "", kind: ValueKind | None = None) -> None:
        raw = item.raw
        secret = item.element.role == "secret" and kind == "valid" and raw["name"] in self._values
        step = Step(do, raw["css"], raw["nth"], value, item.element.text or raw["name"], self.report["url"], secret)
        self.steps.append(step)

    # --- the result ---------------------------------------------------------------------------------

    async def _result(self, done: Done, before: Mapping[str, Any], began: float) -> ActionResult:
        """Read the page, recover if it is not a page, and judge what happened."""
        events = self._tab.events
        timed_out = await self._tab.give_up()
        report = await self._tab.read()
        refused = bool(events.left)
        if report is None:
            timed_out = True
            self.notes.append("a tab crashed" if self._tab.crashed else "a tab did not answer")
            await self._replace_tab()
            report = await self._recover(self.base_url)
        elif origin_of(report["url"]) != self.origin:
            report = await self._recover(before["url"] if refused else self.base_url)
        answer = events.document()
        status = answer.status if answer else 200
        self.report, self.found = report, found_elements(report)
        page = page_of(report, self.found, status)
        came = tuple(failures(done, before, report, events, self._memory)) if report is not BLANK else ()
        return ActionResult(
            page, came, refused=refused, timed_out=timed_out, seconds=time.monotonic() - began,
            traffic=self._traffic(before),
        )  # fmt: skip

    async def _recover(self, url: str) -> Mapping[str, Any]:
        """The first page, or the one before, after the tab was left without a page of the application."""
        for address in dict.fromkeys((url, self.base_url)):
            if origin_of(address) != self.origin:
                continue
            self.steps.append(Step("open", value=address))
            if await self._tab.open(address):
                await self._tab.give_up()
                report = await self._tab.read()
                if report is not None and origin_of(report["url"]) == self.origin:
                    return report
            self.steps.pop()
        return BLANK

    def _traffic(self, before: Mapping[str, Any]) -> float:
        """An estimate of the share of users who come by a page: 1 / (1 + the fewest pages that lead to it)."""
        here = path_template(self.report["url"])
        if self.report["url"] == self.base_url or not self._distance:
            self._distance[here] = 0
        nearest = self._distance.get(path_template(before["url"]) if before["url"] else here, 0)
        distance = self._distance.setdefault(here, nearest + 1)
        self._distance[here] = min(distance, nearest + 1)
        return 1.0 / (1.0 + self._distance[here])
