"""`rl-eval webtest explore`: check what a person gave, explore with progress, reproduce, and write the report."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete
from rich.markup import escape

from rl_eval.domains.webtest.browser import Chromium
from rl_eval.domains.webtest.browser.episode import LARGEST
from rl_eval.domains.webtest.config import Config
from rl_eval.domains.webtest.explore.exploring import Explorer
from rl_eval.domains.webtest.explore.findings import Exploration
from rl_eval.domains.webtest.explore.log_in import read_state, run_script
from rl_eval.domains.webtest.explore.reporting import prepare_folder, write_report
from rl_eval.domains.webtest.explore.reproducing import reproduce
from rl_eval.domains.webtest.observation import C, P
from rl_eval.errors import TRUST_IT, InputError
from rl_eval.net import AddressError, parse_url
from rl_eval.policy import Policy, Spaces, names_policy
from rl_eval.policy import load as load_policy
from rl_eval.run import environment_of, read_run
from rl_eval.terminal import console_for, print_line

DEFAULT = "baseline:novelty"
MOST_CANDIDATES = 64  # of a baseline; a run has those of its training
EVERY = 25  # actions between two lines of progress


class Chosen(NamedTuple):
    """The policy, how many candidates it sees, and how long its episodes are."""

    policy: Policy
    candidates: int
    episode: int
    sentence: str


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

    Raises:
        InputError: an argument is wrong, Chromium is missing, or the application or its log-in does not work.
    """
    base_url = _checked_url(url)
    log_in = _log_in(auth, login, base_url, trust)
    allowed, own = _patterns(allow), _values(values)
    chosen = _policy(policy, budget, trust)
    prepare_folder(out)
    result = Exploration(base_url, chosen.sentence, budget)
    print_line(f"policy     {chosen.sentence}")
    chromium = Chromium()
    try:
        explorer = Explorer(
            chromium, result, chosen.policy, candidates=chosen.candidates, episode=chosen.episode,
            allow=lambda words: any(pattern.search(words) for pattern in allowed), log_in=log_in, values=own,
            timeout_s=timeout_s, progress=_show_progress,
        )  # fmt: skip
        explorer.run()
    finally:
        chromium.close()
    if result.findings:
        print_line(f"exploring  done; the scripts of {len(result.findings)} failures are run")
    reproduce(result, log_in, next((v for k, v in own.items() if "pass" in k.lower()), ""))
    write_report(result, out)
    return _summary(result, out)


def _summary(result: Exploration, out: Path) -> int:
    console = console_for()
    for finding in result.reported():
        failure = finding.failure
        line = f"{failure.kind.replace('_', ' '):<18} {failure.site}"
        console.print(escape(line), style="red" if failure.severity >= 0.75 else "yellow", soft_wrap=True)
    count, flaky = len(result.reported()), len(result.flaky())
    more = f"; {flaky} more showed once and could not be reproduced" if flaky else ""
    for note in result.notes:
        print_line(f"note       {note}")
    print_line(
        f"result     {count} unique failure{'s' * (count != 1)} in {result.actions:,} actions, {len(result.states)} "
        f"states, {result.seconds:.0f} s{more}"
    )
    print_line(f"report     {out / 'report.html'}")
    return 1 if count else 0


def _show_progress(result: Exploration) -> None:
    for finding in result.findings:
        if finding.action == result.actions and finding.count == 1:
            print_line(f"{finding.action:>6,} {finding.failure.kind.replace('_', ' ')}: {finding.failure.site}")
    if result.actions % EVERY == 0 or result.actions == result.budget:
        print_line(
            f"{result.actions:>6,} of {result.budget:,} actions, {len(result.states)} states, "
            f"{len(result.findings)} failures"
        )


def _checked_url(url: str) -> str:
    try:
        parse_url(url)
    except AddressError as error:
        raise InputError(f"URL {url!r} cannot be used: {error}") from error
    return url if re.match(r"https?://[^/]+/", url) else f"{url}/"


def _log_in(auth: Path | None, login: Path | None, base_url: str, trust: bool) -> Callable[[], dict[str, Any]] | None:
    if auth is not None and login is not None:
        raise InputError("--auth and --login are two ways to log in: give one of them")
    if auth is not None:
        state = read_state(auth)
        return lambda: state
    if login is None:
        return None
    if not trust:
        raise InputError(f"--login {login} is code that runs on this machine: {TRUST_IT}")
    if not login.is_file():
        raise InputError(f"--login {login} does not exist: give a Python file that defines log_in(page)")
    script = login
    return lambda: run_script(script, base_url)


def _patterns(allow: Sequence[str]) -> list[re.Pattern[str]]:
    try:
        return [re.compile(pattern, re.IGNORECASE) for pattern in allow]
    except re.error as error:
        raise InputError(f"--allow {error.pattern!r} is no regular expression ({error}): correct it") from error


def _values(values: Sequence[str]) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise InputError(f"--value {value!r} has no =: write NAME=VALUE with the name of a field")
    return dict(value.split("=", 1) for value in values)


def _policy(spec: str | None, budget: int, trust: bool) -> Chosen:
    candidates, episode = MOST_CANDIDATES, budget
    if spec is not None and not names_policy(spec):
        config = environment_of(read_run(spec))
        if not isinstance(config, Config):
            raise InputError(f"--policy {spec} is a run of env={config.name}: give one of env=webtest")
        candidates, episode = config.candidates, config.max_actions
    named = spec or DEFAULT
    space = Box(-LARGEST, LARGEST, (P + candidates * C,), np.float32)
    settings = Config(mode="browser", candidates=candidates, max_actions=min(max(episode, 5), 1000))
    policy = load_policy(named, Spaces("webtest", space, Discrete(candidates)), settings, trust=trust)
    why = "named with --policy" if spec else "since --policy names none"
    return Chosen(policy, candidates, min(episode, 1000), f"{named}, {why}")
