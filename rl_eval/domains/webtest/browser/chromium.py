"""Chromium of this machine, driven by Playwright in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, TypeVar

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra, require_extra

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Playwright

# The headless shell draws no windows of its own: an action takes half the processor time that Chromium takes.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")
START_S = 60.0
END_S = 10.0
# Requests to anything except the application go to a port that nothing listens on: redirects, forms and sockets too.
_NOWHERE = "http://127.0.0.1:1"
_T = TypeVar("_T")


def executable() -> str | None:
    """The path of Chromium or Chrome; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def require_chromium() -> str:
    """The path of Chromium.

    Raises:
        InputError: it is not installed.
    """
    path = executable()
    if path is None:
        raise InputError(
            "a browser is needed, and none of chromium, chromium-headless-shell and google-chrome is on the PATH: "
            "apt-get install chromium"
        )
    return path


def launch_options() -> dict[str, Any]:
    """How Chromium is started.

    Raises:
        InputError: it is not installed.
    """
    # As root there is no sandbox; containers have no large /dev/shm.
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    arguments = [*sandbox, "--disable-dev-shm-usage", "--js-flags=--max-old-space-size=512"]
    return {"executable_path": require_chromium(), "args": arguments}


def context_options(host: str) -> dict[str, Any]:
    """A context that reaches only one host and port, such as `127.0.0.1:8000`."""
    return {
        "proxy": {"server": _NOWHERE, "bypass": f"<-loopback>,{host}"}, "accept_downloads": False,
        "service_workers": "block", "permissions": ["clipboard-read", "clipboard-write"], "locale": "en-GB",
        "timezone_id": "UTC", "viewport": {"width": 1280, "height": 900},
    }  # fmt: skip


class Chromium:
    """A running browser; ended by `close`. Its coroutines run in a thread of their own.

    Raises:
        InputError: no Chromium, no Playwright, or the browser does not start.
    """

    def __init__(self) -> None:
        path = require_chromium()
        require_extra("browser", "a browser", "playwright")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chromium", daemon=True)
        self._thread.start()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        try:
            self.run(self.browser(), START_S)
        except BaseException as error:
            self.close()
            if isinstance(error, Exception):
                reason = " ".join(str(error).split())[:300]
                raise InputError(f"the browser {path} does not start ({reason}): run it by hand to see why") from error
            raise

    def run(self, work: Coroutine[Any, Any, _T], patience_s: float) -> _T:
        """The result of a coroutine.

        Raises:
            TimeoutError: it takes longer.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(patience_s)
        except FutureTimeoutError as error:
            if future.done():  # it is the coroutine itself that timed out
                raise
            future.cancel()
            raise TimeoutError(f"the browser did not answer within {patience_s:g} s") from error
        except BaseException:
            future.cancel()
            raise

    async def browser(self) -> Browser:
        """The browser; started again if it has crashed."""
        with imports_of_extra("browser", "a browser"):
            from playwright.async_api import async_playwright

        if self._playwright is None:
            self._playwright = await async_playwright().start()
        if self._browser is None or not self._browser.is_connected():
            self._browser = await self._playwright.chromium.launch(**launch_options())
        return self._browser

    async def context(self, host: str, **options: Any) -> BrowserContext:
        """A fresh context that reaches only one host and port, such as `127.0.0.1:8000`."""
        browser = await self.browser()
        return await browser.new_context(**context_options(host), **options)

    def close(self, patience_s: float = END_S) -> None:
        """End the browser; a second call does nothing.

        Args:
            patience_s: how long that may take; a browser that takes longer ends with this process.
        """
        if self._loop.is_closed():
            return

        async def end() -> None:
            with contextlib.suppress(Exception):
                if self._browser is not None:
                    await self._browser.close()
            with contextlib.suppress(Exception):
                if self._playwright is not None:
                    await self._playwright.stop()

        for work in (end(), _cancel_others()):
            with contextlib.suppress(TimeoutError):
                self.run(work, patience_s)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(patience_s)
        if not self._thread.is_alive():
            self._loop.close()


async def _cancel_others() -> None:
    """End what a browser that does not answer has left waiting."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
