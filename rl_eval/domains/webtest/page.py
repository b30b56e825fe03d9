"""A page as a tester sees it, what can be done on it, and what an action caused.

The simulator and the browser share these types and the semantics written here.

**Actions.** An action is an index into the candidates of the page: at most `env.candidates` of them, K, masked where
there are fewer. An element that takes a value is one candidate for each kind of value. Filling is one action, and it
changes only the field. A control of the role `submit` sends its form; fields that were not filled hold a valid value
then, so a log-in with valid data is one action. The last two candidates of each page belong to the browser: `BACK` and
`START`, which opens the first page of the application.

**States.** Pages that differ only in data, such as two products, are near duplicates: they share one `state`, and
their elements share keys. A form that shows errors is another state than the empty form.

**Failures** are unique by `site`: the same console message template, exception location, or endpoint and status is one
failure, no matter where it shows. Deliberate answers with status 404 and echoed statuses are not failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["link", "button", "submit", "text", "number", "secret", "choice", "browser"]
Place = Literal["header", "navigation", "main", "form", "footer", "browser"]
ValueKind = Literal["valid", "empty", "too_long", "wrong_type", "boundary", "injection"]
FailureKind = Literal[
    "error_page", "console_error", "dead_link", "broken_validation", "wrong_total", "lost_state", "unescaped_text"
]

ROLES: tuple[Role, ...] = ("link", "button", "submit", "text", "number", "secret", "choice", "browser")
PLACES: tuple[Place, ...] = ("header", "navigation", "main", "form", "footer", "browser")
VALUE_KINDS: tuple[ValueKind, ...] = ("valid", "empty", "too_long", "wrong_type", "boundary", "injection")
FAILURE_KINDS: tuple[FailureKind, ...] = (
    "error_page", "console_error", "dead_link", "broken_validation", "wrong_total", "lost_state", "unescaped_text",
)  # fmt: skip
POSITIONS = 16
# How bad a failure of a kind is, from 0 to 1: a blocker counts 1, a cosmetic one .25.
SEVERITY: dict[FailureKind, float] = {
    "error_page": 1.0,
    "console_error": 0.5,
    "dead_link": 0.25,
    "broken_validation": 0.5,
    "wrong_total": 1.0,
    "lost_state": 0.75,
    "unescaped_text": 1.0,
}
# Kinds of values that an element of a role takes; roles that are not here are clicked. `secret` is a password.
VALUES_OF: dict[Role, tuple[ValueKind, ...]] = {
    "text": ("empty", "too_long", "wrong_type", "injection"),
    "number": ("empty", "wrong_type", "boundary"),
    "secret": ("empty", "too_long", "boundary"),
    "choice": ("boundary",),
}


@dataclass(frozen=True)
class Element:
    """A visible interactive element.

    Attributes:
        text: what a person reads: its label, text or alternative text.
        attributes: words of its `name`, `type`, `id`, placeholder and path, without numbers of single records.
        position: how many elements of its place come before it, over `POSITIONS`, at most 1.
        key: names it in this application, equal on near-duplicate pages and in a header that all pages have.
        destructive: whether it logs out or deletes; `env.mask` decides whether such elements are legal.
    """

    role: Role
    text: str
    attributes: str
    place: Place
    position: float
    key: str
    destructive: bool = False


@dataclass(frozen=True)
class Candidate:
    """One action on a page: an element, and for a field the kind of value that it gets."""

    element: Element
    value_kind: ValueKind | None = None

    @property
    def key(self) -> str:
        """Names the action in this application."""
        return self.element.key if self.value_kind is None else f"{self.element.key}={self.value_kind}"


BACK = Candidate(Element("browser", "back", "", "browser", 0.0, "browser:back"))
START = Candidate(Element("browser", "start page", "", "browser", 1.0, "browser:start"))


@dataclass(frozen=True)
class Page:
    """What a tester sees after an action.

    Attributes:
        state: names its abstract state in this application; near-duplicate pages have the same.
        title: of the document, with its first heading.
        text: visible text of its main part, without the texts of its elements; the first 2,000 characters are read.
        elements: in the order of the document.
        status: of the response, such as 200.
        shows_errors: whether a form says that a value was not accepted.
        has_log_out: whether there is a control that logs out, legal or not.
        badge: the largest number in the header, such as that of a cart; 0 if there is none.
    """

    state: str
    title: str
    text: str
    elements: tuple[Element, ...]
    status: int = 200
    shows_errors: bool = False
    has_log_out: bool = False
    badge: int = 0


@dataclass(frozen=True)
class Failure:
    """A failure that an action caused.

    Attributes:
        site: what makes it unique: exception location, console message template, endpoint and status.
        seeded: whether it is one of the known defects that are switched on; None if the truth is not known.
    """

    kind: FailureKind
    site: str
    seeded: bool | None = None

    @property
    def severity(self) -> float:
        """From 0 to 1, by its kind."""
        return SEVERITY[self.kind]


@dataclass(frozen=True)
class ActionResult:
    """What one action caused.

    Attributes:
        failures: all that showed, known before or not.
        refused: whether it would have left the application's origin, and was not done.
        timed_out: whether the page did not answer in time; not a failure by itself.
        seconds: that it took.
        traffic: share of the application's users who come by the page, from 0 to 1; an estimate.
    """

    page: Page
    failures: tuple[Failure, ...] = ()
    refused: bool = False
    timed_out: bool = False
    seconds: float = 0.0
    traffic: float = 0.0


def candidates(page: Page, limit: int) -> tuple[Candidate, ...]:
    """The actions of a page, at most `limit`, in a fixed order; the last two are `BACK` and `START`.

    Where there are more, one candidate of each element comes before a second one of any, in the order of the document.
    """
    by_element = [
        [Candidate(element, kind) for kind in VALUES_OF.get(element.role, (None,))] for element in page.elements
    ]
    room = limit - 2
    rounds = [
        (turn, index, candidate) for index, options in enumerate(by_element) for turn, candidate in enumerate(options)
    ]
    chosen = sorted(sorted(rounds, key=lambda item: item[:2])[:room], key=lambda item: (item[1], item[0]))
    return (*(candidate for _, _, candidate in chosen), BACK, START)
