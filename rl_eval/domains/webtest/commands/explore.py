"""`rl-eval webtest explore`: explore with progress, reproduce what failed, and write the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rl_eval.domains.webtest.browser import Chromium, require_chromium
from rl_eval.domains.webtest.browser.chromium import END_S
from rl_eval.domains.webtest.commands.arguments import allowed_words, checked_url, log_in_of, own_values
from rl_eval.domains.webtest.commands.chosen_policy import choose_policy
from rl_eval.domains.webtest.explore.exploring import Explorer
from rl_eval.domains.webtest.explore.findings import Exploration
from rl_eval.domains.webtest.explore.reporting import require_folder, write_report
from rl_eval.domains.webtest.explore.reproducing import reproduce
from rl_eval.errors import InputError, failure
from rl_eval.formatting import quantity
from rl_eval.terminal import ProgressLine, print_line

LAST_S = 0.3  # for the browser to end after a stop signal


def explore_application(
    url: str,
    *,
    budget: int,
    policy: str | None,
    auth: Path | None,
    login: Path | None,
    allow: Sequence[str],
    values: Sequence[str],
    timeout_s: float,
    out: Path,
    trust: bool,
) -> int:
    """Explore an application and write the report; 1 where a failure was found, else 0.

    Where it is stopped, or the application is lost during it, the report has what was found until then.

    Raises:
        InputError: an argument is wrong, Chromium is missing, or the application or its log-in does not work.
        KeyboardInterrupt: a stop signal came.
    """
    base_url = checked_url(url)
    log_in = log_in_of(auth, login, base_url, trust)
    allowed, own = allowed_words(allow), own_values(values)
    chosen = choose_policy(policy, trust)
    require_chromium()
    require_folder(out)
    result = Exploration(base_url, chosen.sentence, budget)
    print_line(f"policy     {chosen.sentence}")
    chromium = Chromium()
    try:
        with ProgressLine(budget, "exploring", unit="actions") as line:
            explorer = Explorer(
                chromium, result, chosen.policy, candidates=chosen.candidates, allow=allowed,
                log_in=log_in, values=own, timeout_s=timeout_s, progress=lambda: _show_progress(result, line),
            )  # fmt: skip
            explorer.run()
        chromium.close()
        if result.findings:
            _reproduce(result, log_in, next((v for k, v in own.items() if "pass" in k.lower()), ""))
    except BaseException as error:
        result.ended = _reason(error)
        raise
    finally:
        try:
            if result.actions:  # before the browser ends, since after a stop signal there is about a second
                write_report(result, out)
                _print_summary(result, out)
        finally:
            chromium.close(LAST_S if result.ended else END_S)
    return 1 if result.replayed("shown") else 0


def _reproduce(result: Exploration, log_in: Callable[[], dict[str, Any]] | None, secret: str) -> None:
    with ProgressLine(len(result.findings), "reproducing", unit="failures") as line:
        reproduce(result, log_in, secret, line.update)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "It was stopped by a signal"
    return f"It ended early: {error}" if isinstance(error, InputError) else f"It ended early: {failure(error)}"


def _print_summary(result: Exploration, out: Path) -> None:
    shown = result.replayed("shown")
    for finding in shown:
        print_line(f"{finding.failure.kind.replace('_', ' '):<18} {finding.failure.site}")
    for note in result.notes:
        print_line(f"note       {note}")
    print_line(
        f"result     {quantity(len(shown), 'unique failure')} in {quantity(result.actions, 'action')}, "
        f"{quantity(result.states, 'state')}, {result.seconds:.0f} s"
    )
    if flaky := result.replayed("not_shown"):
        print_line(f"           {len(flaky)} more showed once and could not be reproduced")
    if untried := result.replayed("not_tried"):
        print_line(f"           {len(untried)} more not tried again")
    print_line(f"report     {out / 'report.html'}")


def _show_progress(result: Exploration, line: ProgressLine) -> None:
    for finding in result.findings:
        if finding.action == result.actions and finding.count == 1:
            print_line(
                f"{finding.failure.kind.replace('_', ' '):<18} {finding.failure.site} (action {finding.action:,})"
            )
    note = f"{quantity(result.states, 'state')}, {quantity(len(result.findings), 'failure')}"
    line.update(result.actions, note=note)
