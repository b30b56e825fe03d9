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
        screenshot: PNG of the page at that time; None where the browser gave none.
        replay: whether a script showed it again; `not_tried` where the exploration ended before.
        script: the text that shows it again, or that would be tried; empty where none does.
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
        notes: what happened besides, such as a session that was lost.
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
    """Ways to a failure, the shortest first: on its page alone, since the start page was open, since the beginning."""
    last = steps[-1]
    begin = len(steps) - 1
    while begin > 0 and steps[begin - 1].do in ("fill", "choose") and steps[begin - 1].url == last.url:
        begin -= 1
    known: set[tuple[Step, ...]] = set()
    candidates = []
    if last.url and last.do not in ("open", "back"):
        opened = Step("open", value=last.url)
        # What was filled in seldom matters to a link or a plain button.
        candidates += [(opened, last)] * (last.do == "click") + [(opened, *steps[begin:])]
    for index in range(len(steps) - 1, -1, -1):
        if steps[index].do == "open":
            candidates.append(tuple(steps[index:]))
    turns = [*candidates[:3], *candidates[4::4][:1], tuple(steps)]
    for path in turns:
        if path not in known and len(path) <= LONGEST_PATH:
            known.add(path)
            yield path
