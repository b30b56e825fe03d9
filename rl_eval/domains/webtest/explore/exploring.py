"""Explore an application with a policy: actions in one browser context, failures that are new, and the session."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rl_eval.domains.webtest.browser.chromium import Chromium
from rl_eval.domains.webtest.browser.episode import Episode, caused, memory_of, observations, shown
from rl_eval.domains.webtest.browser.reading import words_of
from rl_eval.domains.webtest.browser.tester import WHOLE_S, Tester
from rl_eval.domains.webtest.explore.findings import Exploration, Finding, paths
from rl_eval.domains.webtest.explore.script import describe, script
from rl_eval.domains.webtest.page import START, ActionResult, Element, Failure, Page
from rl_eval.errors import InputError
from rl_eval.policy import Policy, choose_actions

MOST_FINDINGS = 200
MOST_RESTARTS = 5  # after a session that was lost, or an application that did not answer
_WAIT_S = 2.0


class Explorer:
    """One exploration.

    Args:
        policy: chooses among the candidates; it sees `candidates` at most.
        allow: whether an element that looks destructive may be used anyway.
        log_in: gives a fresh storage state; None: the application is explored without a log-in.
        progress: called after each action.
    """

    def __init__(
        self,
        chromium: Chromium,
        exploration: Exploration,
        policy: Policy,
        *,
        candidates: int,
        allow: Callable[[str], bool],
        log_in: Callable[[], dict[str, Any]] | None = None,
        values: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        progress: Callable[[], None] = lambda: None,
    ):
        self._chromium, self._result, self._policy = chromium, exploration, policy
        self._candidates, self._allow = candidates, allow
        self._log_in, self._progress, self._timeout_s = log_in, progress, timeout_s
        self._values = dict(values or {})
        self._known: dict[tuple[str, str], Finding] = {}
        self._states: set[str] = set()
        self._transitions: set[tuple[str, str, str]] = set()
        self._restarts = 0
        self._tester: Tester
        self._allowed: set[str] = set()

    def run(self) -> None:
        """Explore until the budget is spent. If something is raised, the exploration is complete up to there.

        Raises:
            InputError: the application does not answer, has nothing to explore, or the log-in does not work.
            KeyboardInterrupt: a stop signal came.
        """
        began, result = time.monotonic(), self._result
        page = self._start().page
        if not page.elements:  # what scripts draw may take longer than the page
            page = self._chromium.run(self._tester.act(START), 4 * WHOLE_S).page
        if not page.elements:
            raise InputError(
                f"{result.base_url} has nothing to click or to fill in (status {page.status}): give the address of a "
                "page with links or forms"
            )
        try:
            self._explore(page)
        finally:
            result.seconds = time.monotonic() - began
            result.notes += self._tester.notes

    def _explore(self, page: Page) -> None:
        result = self._result
        logged_in = page.has_log_out
        if self._log_in is not None and not logged_in:
            result.notes.append("the first page has no control that logs out, so a lost session cannot be noticed")
        # One memory for the whole exploration: a policy that forgot what it has tried would try it again.
        memory, episode = memory_of(1, result.budget), Episode(result.budget)
        self._see(episode, page, memory)
        seen = shown([episode], self._candidates, self._legal)
        memory.start(np.ones(1, bool), seen)
        while result.actions < result.budget:
            obs = observations([episode], self._candidates, memory, seen)
            action = choose_actions(self._policy, obs, True, seen.legal, np.array([result.actions == 0]))
            candidate = episode.options[int(action[0])]
            before = page.state
            outcome = self._chromium.run(self._tester.act(candidate), 4 * WHOLE_S)
            page = outcome.page
            self._count(outcome, (before, candidate.key, page.state))
            for failure in outcome.failures:
                self._add(failure)
            if logged_in and self._lost(page.has_log_out):
                page = self._again("the session was lost, and the log-in was done again")
            elif not self._tester.report["url"]:
                page = self._again("the application did not answer, and the exploration waited for it")
            effects = caused([episode], [candidate], [outcome])
            self._see(episode, page, memory)
            seen = shown([episode], self._candidates, self._legal)
            memory.record(np.ones(1, bool), effects, seen)
            self._progress()
            if self._restarts > MOST_RESTARTS:
                raise InputError(
                    f"{result.base_url} or its session was lost more than {MOST_RESTARTS} times: see the notes of the "
                    "report for the actions"
                )

    def _start(self) -> ActionResult:
        storage = self._log_in() if self._log_in is not None else None
        self._tester = Tester(
            self._chromium, self._result.base_url, timeout_s=self._timeout_s, values=self._values, storage=storage
        )
        outcome: ActionResult = self._chromium.run(self._tester.start(), 4 * WHOLE_S)
        self._see_state(outcome.page.state)
        for failure in outcome.failures:
            self._add(failure)
        return outcome

    def _again(self, note: str) -> Page:
        """The first page of a fresh context."""
        self._restarts += 1
        last = describe(self._tester.steps[-1]) if self._tester.steps else "begin"
        self._result.notes.append(f"action {self._result.actions} ({last}): {note}")
        notes = self._tester.notes
        self._chromium.run(self._tester.close(), WHOLE_S)
        for left in range(3, -1, -1):
            try:
                page = self._start().page
                break
            except InputError:
                if not left:
                    raise
                time.sleep(_WAIT_S)
        self._tester.notes += notes
        return page

    def _lost(self, has_log_out: bool) -> bool:
        """Whether a page asks for a log-in and has no control that logs out any more."""
        return not has_log_out and bool(self._tester.report["secret"])

    def _see(self, episode: Episode, page: Page, memory: Any) -> None:
        self._allowed = {
            item.element.key
            for item in self._tester.found
            if not item.element.destructive or self._allow(words_of(item.raw))
        }
        episode.see(page, self._tester.found, self._candidates, memory, 0, self._legal)

    def _legal(self, element: Element) -> bool:
        return element.role == "browser" or element.key in self._allowed

    def _count(self, outcome: ActionResult, transition: tuple[str, str, str]) -> None:
        result = self._result
        result.actions += 1
        result.refused += outcome.refused
        result.timed_out += outcome.timed_out
        self._see_state(outcome.page.state)
        self._transitions.add(transition)
        result.transitions = len(self._transitions)

    def _see_state(self, state: str) -> None:
        self._states.add(state)
        self._result.states = len(self._states)

    def _add(self, failure: Failure) -> None:
        key = (failure.kind, failure.site)
        if key in self._known:
            self._known[key].count += 1
        elif len(self._known) < MOST_FINDINGS:
            tester = self._tester
            title = str(tester.report["title"])
            finding = Finding(failure, self._result.actions, str(tester.report["url"]), title, tuple(tester.steps))
            # The longest way is the likeliest to show it, until all of them are tried.
            finding.path = next(reversed(list(paths(finding.steps, self._result.base_url))), ())
            finding.script = script(failure, finding.path, self._result.base_url) if finding.path else ""
            self._known[key] = finding
            self._result.findings.append(finding)  # first, since a stop signal may come while the picture is taken
            finding.screenshot = self._chromium.run(tester.screenshot(), WHOLE_S)
