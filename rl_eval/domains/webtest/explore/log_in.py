"""The log-in of an application: a storage state from a file, or from a person's script in a process of its own."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rl_eval.errors import InputError, failure
from rl_eval.extras import imports_of_extra
from rl_eval.untrusted_files import only_regular

MOST_BYTES = 4 << 20
LOG_IN_S = 120.0


def read_state(path: Path) -> dict[str, Any]:
    """Playwright's storage state from a file.

    Raises:
        InputError: the file cannot be read, or is not one.
    """
    try:
        with open(path, "rb", opener=only_regular) as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"--auth {path} cannot be read ({error.strerror}): give a storage state as JSON") from error
    try:
        state = json.loads(content) if len(content) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        state = None
    lists = [state.get("cookies"), state.get("origins", [])] if isinstance(state, dict) else []
    if not lists or not all(isinstance(one, list) and all(isinstance(entry, dict) for entry in one) for one in lists):
        raise InputError(
            f"--auth {path} is not a storage state of Playwright: save one with "
            "context.storage_state(path='state.json') after a log-in"
        )
    return {"cookies": lists[0], "origins": lists[1]}


def require_state_of(state: dict[str, Any], base_url: str, path: Path) -> None:
    """Check that a storage state has a cookie or local storage of an application.

    Raises:
        InputError: it has none, so that nobody would be logged in.
    """
    host = urlsplit(base_url).hostname or ""
    domains = {str(cookie.get("domain", "")).lower().lstrip(".") for cookie in state["cookies"]}
    domains |= {urlsplit(str(origin.get("origin", ""))).hostname or "" for origin in state["origins"]}
    if not any(domain and (host == domain or host.endswith(f".{domain}")) for domain in domains):
        of = ", ".join(sorted(filter(None, domains))[:3])
        raise InputError(
            f"--auth {path} has nothing for {host} ({f'it is of {of}' if of else 'it is empty'}): save it after a "
            "log-in at this application, under the same host name"
        )


def run_script(script: Path, base_url: str) -> dict[str, Any]:
    """The storage state after a person's script has logged in: `def log_in(page)` with a page of Playwright's sync API.

    It runs in a process of its own, with a browser that reaches only the application.

    Raises:
        InputError: it does not end, or fails.
    """
    with tempfile.TemporaryDirectory(prefix="webtest-") as folder:
        out = Path(folder) / "state.json"
        out.touch(mode=0o600)
        command = [sys.executable, "-m", "rl_eval.domains.webtest.explore.log_in", str(script), base_url, str(out)]
        try:
            done = subprocess.run(command, timeout=LOG_IN_S, capture_output=True, text=True, errors="replace")
        except subprocess.TimeoutExpired as error:
            raise InputError(f"--login {script} has not ended after {LOG_IN_S:g} s: shorten its waits") from error
        if done.returncode:
            reason = next(reversed(done.stderr.strip().splitlines()), "it printed nothing")[:300]
            raise InputError(
                f"--login {script} failed ({reason}): check that the application runs, and that log_in(page) works"
            )
        return read_state(out)


def _child(script: str, base_url: str, out: str) -> int:
    with imports_of_extra("browser", "a log-in script"):
        from playwright.sync_api import sync_playwright

    from rl_eval.domains.webtest.browser.chromium import context_options, launch_options
    from rl_eval.domains.webtest.browser.sites import host_of

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options())
        context = browser.new_context(**context_options(host_of(base_url)))
        page = context.new_page()
        try:
            page.goto(base_url)
            log_in = runpy.run_path(script).get("log_in")
            if not callable(log_in):
                print("it has no function log_in(page)", file=sys.stderr)
                return 1
            log_in(page)
        except SystemExit:
            print("it ended the process: let log_in(page) return", file=sys.stderr)
            return 1
        except Exception as error:
            print(failure(error), file=sys.stderr)
            return 1
        context.storage_state(path=out)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(_child(*sys.argv[1:4]))
