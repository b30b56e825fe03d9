"""`Finding`: one unique failure of an exploration, with what is needed to report and to reproduce it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.page import Failure

LONGEST_PATH = 60  # steps of a script
Replay = Literal["shown", "not_shown", "not_tried"]


@dataclass
class Finding:
    """A failure that is unique by kind and site.

    Attributes:
        action: the number of the action that showed it first.
        steps: everything that was done until then.
        count: how often it showed.
        screenshot: PNG of the page at that time; None if the browser gave none.
        replay: whether a script showed it again; `not_tried` where the exploration ended before.
        script: the text that shows it again, or that would be tried; empty if none does.
        path: the steps of that script.
    """

    failure: Failure
    action: int
    url: str
    title: str
    steps: tuple[Step, ...]
    count: int = 1
    screenshot: bytes | None = field(default=None, repr=False)
    replay: Replay = "not_tried"
    script: str = field(default="", repr=False)
    path: tuple[Step, ...] = ()


@dataclass
class Exploration:
    """What an exploration did and found.

    Attributes:
        policy: which one chose the actions, with the reason, as a sentence without its point.
        states: how many were seen.
        notes: what else happened, such as a session that was lost.
        ended: why it ended before its budget was spent, as a sentence without its point; else empty.
    """

    base_url: str
    policy: str
    budget: int
    actions: int = 0
    seconds: float = 0.0
    refused: int = 0
    timed_out: int = 0
    states: int = 0
    transitions: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ended: str = ""

    def replayed(self, replay: Replay) -> list[Finding]:
        """Failures with one outcome of their scripts, the worst first."""
        return sorted((one for one in self.findings if one.replay == replay), key=lambda one: -one.failure.severity)


def paths(steps: Sequence[Step], base_url: str) -> Iterator[tuple[Step, ...]]:
    """Ways to a failure, the shortest first.

    Only on its page; after all forms that were sent, since a log-in or a full cart may be needed; since the start page
    was open; since the beginning.
    """
    last, begin = steps[-1], _first_entry(steps, len(steps) - 1)
    ways: list[tuple[Step, ...]] = []
    sends = [index for index in range(len(steps) - 1) if steps[index].do == "submit"]
    if last.url and last.do not in ("open", "back"):
        opened = Step("open", value=last.url)
        # What was filled in seldom matters to a link or a plain button.
        ways += [(opened, last)] * (last.do == "click") + [(opened, *_last_entries(steps[begin:]))]
        ways += [(*_sent(steps, sends, len(ways[-1])), *ways[-1])]
    opens = [tuple(steps[index:]) for index in range(len(steps) - 1, -1, -1) if steps[index].do == "open"]
    ways += opens[:1]
    if sends:
        after = steps[sends[-1] + 1 :]
        ways += [(*_sent(steps, sends, len(after)), *after)]
    known: set[tuple[Step, ...]] = set()
    for way in [*ways, *opens[1:2], *opens[4::4][:1], tuple(steps)]:
        if way not in known and len(way) <= LONGEST_PATH:
            known.add(way)
            yield way


def _first_entry(steps: Sequence[Step], index: int) -> int:
    """The first step of those that filled in fields on the page of a step, directly before it."""
    while index > 0 and steps[index - 1].do in ("fill", "choose") and steps[index - 1].url == steps[index].url:
        index -= 1
    return index


def _last_entries(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Steps on one page without the texts that a later one in the same field replaced."""
    last = {(step.css, step.nth): index for index, step in enumerate(steps) if step.do == "fill"}
    return tuple(s for index, s in enumerate(steps) if s.do != "fill" or last[s.css, s.nth] == index)


def _sent(steps: Sequence[Step], sends: Sequence[int], taken: int) -> tuple[Step, ...]:
    """The last forms that were sent, each on its page and once, as many as fit in addition to the steps taken."""
    forms: dict[tuple[Step, ...], None] = {}
    room = LONGEST_PATH - taken
    for index in reversed(sends):
        form = (Step("open", value=steps[index].url), *_last_entries(steps[_first_entry(steps, index) : index + 1]))
        if form not in forms and len(form) <= room:
            forms[form] = None
            room -= len(form)
    return tuple(step for form in reversed(forms) for step in form)
