"""Why the first page of an application did not come, as one sentence that says what to do."""

from __future__ import annotations

from rl_eval.domains.webtest.browser.events import Events
from rl_eval.domains.webtest.browser.sites import origin_of


def why_it_did_not_come(url: str, events: Events, timeout_s: float) -> str:
    """The sentence.

    Args:
        events: of opening it.
        timeout_s: how long that was waited for.
    """
    reason = next(iter(events.failed.values()), "").removeprefix("net::")
    if events.left:
        return f"{url} leads to {origin_of(events.left[-1])}, another origin: give that address"
    if events.downloads or reason == "ERR_ABORTED":
        return f"{url} is not a page, but a download or empty: give the address of a page"
    if reason.startswith("ERR_CERT_"):
        return (
            f"{url} has a certificate that this machine does not trust ({reason}): give its http address, or add the "
            "authority that signed it to those that Chromium trusts"
        )
    if reason.startswith("ERR_SSL_"):
        return f"{url} does not speak https ({reason}): give its http address"
    if reason:
        return f"{url} does not answer ({reason}): start the application, or give another URL"
    return f"{url} has not answered within {timeout_s:g} s: allow more time, or give another URL"
