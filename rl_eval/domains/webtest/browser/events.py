"""What a browser reports while an action is carried out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rl_eval.domains.webtest.browser.sites import host_of, message_template, origin_of, path_template

MOST = 200  # events of a kind that are kept for one action
# Console messages of the browser itself: responses are judged by themselves, and what it refuses is not a failure.
_OF_BROWSER = ("Failed to load resource", "Not allowed to load local resource", "Access to ", "webtest: ")
# What a browser may not do, or what its user has cancelled; and, unless a script of the application threw it, what the
# browser of a tester does not have, such as a camera.
_REFUSED = re.compile(r"\b(NotAllowedError|AbortError)\b")
_LACKING = ("NotSupportedError", "NotFoundError", "NotReadableError", "SecurityError", "UnknownError")
_SOCKET = re.compile(r"WebSocket connection to '([^']*)'")


@dataclass(frozen=True)
class Answer:
    """A response: of the page itself (`document`), or of something that it loads."""

    method: str
    url: str
    status: int
    kind: str
    redirected: bool = False


@dataclass
class Events:
    """Everything since the beginning of an action.

    Attributes:
        console: templates of console errors.
        exceptions: templates of exceptions that nobody caught, with the file.
        answers: responses of the application's own origin.
        failed: method and address -> reason of requests without a response.
        left: addresses elsewhere that the page would have loaded as the next page.
        blocked: kinds of what the page asked of another origin, such as `script`: it gets nothing from there.
    """

    console: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    downloads: int = 0
    windows: int = 0

    def add_console(self, kind: str, text: str, url: str, origin: str) -> None:
        """Take in a console message, if it is an error of the application."""
        if kind != "error" or text.startswith(_OF_BROWSER) or _REFUSED.search(text):
            return
        if url and origin_of(url) not in ("", origin):
            return
        if (socket := _SOCKET.match(text)) and host_of(socket[1]) != host_of(origin):
            return
        if len(self.console) < MOST:
            self.console.append(message_template(text))

    def add_exception(self, name: str, message: str, stack: str) -> None:
        """Take in an exception that nobody caught."""
        if message.startswith("webtest: ") or _REFUSED.search(name) or len(self.exceptions) >= MOST:
            return
        place = next((line for line in stack.splitlines() if "http" in line), "")
        url = place[place.find("http") :].rstrip(")")
        file = path_template(url.rsplit(":", 2)[0]) if url else ""
        if name in _LACKING and not file:
            return
        self.exceptions.append(f"{message_template(name)}: {message_template(message)}{f' in {file}' if file else ''}")

    def add_answer(self, answer: Answer, origin: str) -> None:
        """Take in a response of the application."""
        if origin_of(answer.url) == origin and len(self.answers) < MOST:
            self.answers.append(answer)

    def document(self) -> Answer | None:
        """The response that the page is made of; None if no page was loaded."""
        return next((a for a in reversed(self.answers) if a.kind == "document" and not a.redirected), None)

    def first_document(self) -> Answer | None:
        """The first response of a chain of redirects to the page."""
        return next((a for a in self.answers if a.kind == "document"), None)
