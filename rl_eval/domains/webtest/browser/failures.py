"""Which failures an action caused: rules on what the page showed before and after it, and on the browser's events.

Each rule is narrow, since a false alarm costs more trust than a failure that is missed. None knows the application.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rl_eval.domains.webtest.browser.events import Answer, Events
from rl_eval.domains.webtest.browser.sites import echoes, path_template
from rl_eval.domains.webtest.browser.values import holds_a_value_of_ours
from rl_eval.domains.webtest.page import Failure

_GONE = (404, 410)
_ASSETS = ("image", "stylesheet", "script", "font", "media")
_CONNECTION = ("net::ERR_TOO_MANY_REDIRECTS", "net::ERR_EMPTY_RESPONSE", "net::ERR_INVALID_RESPONSE")
# What may change a cart: an action with one of these words, or on a page whose address has one.
_CART = re.compile(r"cart|basket|bag|checkout|order|pay|buy|remov|clear|empty|delet|log ?out|sign ?out", re.IGNORECASE)
_BACK = re.compile(r"\b(back|previous)\b", re.IGNORECASE)
_REJECTED = re.compile(
    r"\b(invalid|not valid|required|must|error|wrong|missing|too (long|short|many|large)|not allowed|denied|failed|"
    r"please (enter|fill|correct|try)|cannot|can't)\b",
    re.IGNORECASE,
)
# What a script says that did not get something, and one that lacks what another script defines.
_NOT_FETCHED = re.compile(r"Failed to fetch|NetworkError|Network Error|Load failed")
_NOT_DEFINED = re.compile(r"ReferenceError: \S+ is not defined")
_SUBTOTAL = re.compile(r"^sub-?\s?total\b", re.IGNORECASE)
_TOTAL = re.compile(r"^(grand )?total\b", re.IGNORECASE)


@dataclass(frozen=True)
class Done:
    """What was done.

    Attributes:
        role: `link`, `button`, `submit`, a role of a field, or `browser`.
        text: of the element, with its address.
        action, method: of the form that was sent.
        sent: field -> value of that form.
        violations: its fields whose values break the limits that the form declares.
    """

    role: str
    text: str = ""
    action: str = ""
    method: str = ""
    sent: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[str, ...] = ()


@dataclass
class Memory:
    """What the rules remember of an episode: the cart as it was last answered, and the forms that were taken."""

    cart: int = -1
    taken: dict[str, dict[str, str]] = field(default_factory=dict)


def failures(
    done: Done, before: Mapping[str, Any], after: Mapping[str, Any], events: Events, memory: Memory
) -> list[Failure]:
    """The failures that an action caused, each once.

    Args:
        before, after: what `read_page.js` gave.
        memory: changed in place.
    """
    found = [
        *_responses(done, events),
        *_errors(events),
        *(Failure("unescaped_text", probe) for probe in after["probes"]),
        *_accepted(done, after, events),
        *_totals(after),
        *_lost_cart(done, before, after, events, memory),
        *_lost_form(done, after, events, memory),
    ]
    return list(dict.fromkeys(found))


def _errors(events: Events) -> Iterator[Failure]:
    """Errors of scripts, except for those caused by missing answers of another origin."""
    for message in (*events.console, *events.exceptions):
        not_fetched = events.blocked and _NOT_FETCHED.search(message)
        if not not_fetched and not ("script" in events.blocked and _NOT_DEFINED.search(message)):
            yield Failure("console_error", message)


def endpoint(answer: Answer) -> str:
    """`GET /products/{n}`."""
    return f"{answer.method} {path_template(answer.url)}"


def _responses(done: Done, events: Events) -> Iterator[Failure]:
    for answer in events.answers:
        site = f"{endpoint(answer)} {answer.status}"
        if echoes(answer.status, answer.url):
            continue
        if answer.status >= 500:
            yield Failure("error_page", site)
        elif holds_a_value_of_ours(answer.url):
            continue
        elif answer.status >= 400 and answer.kind in _ASSETS and "favicon" not in answer.url:
            yield Failure("dead_link", site)
    page = events.document()
    if page and page.status in _GONE and done.role == "link":
        sample = echoes(page.status, page.url) or str(page.status) in done.text  # such as a link that says "404"
        if not sample and not holds_a_value_of_ours(page.url):
            yield Failure("dead_link", f"{endpoint(page)} {page.status}")
    for request, reason in events.failed.items():
        method, _, url = request.partition(" ")
        if reason.startswith(_CONNECTION):
            yield Failure("error_page", f"{method} {path_template(url)} {reason.removeprefix('net::')}")


def _rejected(after: Mapping[str, Any], events: Events) -> bool:
    """Whether a page says that a form was not taken; also where that is only likely."""
    page = events.document()
    return after["errorsShown"] or page is None or page.status >= 400


def _accepted(done: Done, after: Mapping[str, Any], events: Events) -> Iterator[Failure]:
    """A form that breaks its own limits and is taken: the server answers with a redirect to a page without errors."""
    first = events.first_document()
    if not done.violations or done.method != "post" or first is None or not first.redirected:
        return
    if _rejected(after, events) or after["secret"] or _REJECTED.search(after["text"]):
        return
    for name in done.violations:
        yield Failure("broken_validation", f"POST {path_template(done.action)} {name}")


def _totals(after: Mapping[str, Any]) -> Iterator[Failure]:
    """A table whose foot is not the sum of its lines, or of the rows of the foot."""
    for table in after["tables"]:
        lines, sums = table["lines"], table["sums"]
        if not lines or None in lines or any(value is None for _, value in sums):
            continue
        subtotal = next((value for label, value in sums if _SUBTOTAL.match(label)), None)
        others = [value for label, value in sums if not _SUBTOTAL.match(label) and not _TOTAL.match(label)]
        for label, value in sums:
            if _SUBTOTAL.match(label):
                expected = sum(lines)
            elif _TOTAL.match(label) and (subtotal is not None or not others):
                expected = (sum(lines) if subtotal is None else subtotal) + sum(others)
            else:
                continue
            if value != expected:
                yield Failure("wrong_total", f"{path_template(after['url'])} {label}")


def _lost_cart(
    done: Done, before: Mapping[str, Any], after: Mapping[str, Any], events: Events, memory: Memory
) -> Iterator[Failure]:
    """A cart that is empty after an action that has nothing to do with it."""
    page = events.document()
    if page is None or after["cart"] < 0:
        return
    lost = memory.cart > 0 and after["cart"] == 0
    concerns = (done.text, done.action, path_template(before["url"]), path_template(after["url"]))
    if lost and done.role in ("link", "submit") and not any(map(_CART.search, concerns)):
        first = events.first_document() or page
        yield Failure("lost_state", f"cart {endpoint(first)}")
    # Going back can show an old page.
    if done.role != "browser":
        memory.cart = after["cart"]


def _lost_form(done: Done, after: Mapping[str, Any], events: Events, memory: Memory) -> Iterator[Failure]:
    """A form that was refused, or that one goes back to, and that has lost what was entered."""
    page = events.document()
    forms = {path_template(form["action"]): form["fields"] for form in after["forms"] if form["method"] == "post"}
    expected: Mapping[str, str] = {}
    action = path_template(done.action)
    if done.role == "submit" and done.method == "post" and page:
        if page.status in (400, 422) and action in forms:
            expected = done.sent
        elif (first := events.first_document()) and first.redirected and not after["errorsShown"]:
            memory.taken[action] = dict(done.sent)
    elif done.role == "link" and page and _BACK.search(done.text):
        action = next((action for action in forms if action in memory.taken), "")
        expected = memory.taken.get(action, {})
    fields = {field["name"]: field["value"] for field in forms.get(action, [])}
    kept = [fields[name] for name, value in expected.items() if value.strip() and name in fields]
    if kept and not any(value.strip() for value in kept):
        yield Failure("lost_state", f"form {action}")
