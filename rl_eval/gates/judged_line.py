"""One line on what a suite judges: the run, its agent, its length and age, and what differs from `train:`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from rl_eval.errors import InputError
from rl_eval.formatting import brief, display_text, short_duration
from rl_eval.gates.selection import BarePolicy, differing_settings
from rl_eval.gates.suite import Suite
from rl_eval.run import Run

MAX_RUNS = 3  # of several, so many are described


def judged_lines(suite: Suite, judged: Sequence[Run | BarePolicy], now: datetime.datetime | None = None) -> list[str]:
    """What a suite judges, newest first; of many runs the first few, and how many more there are.

    Args:
        now: the time that ages are counted to; default: the current time.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    newest_first = list(judged)[::-1]
    lines = [_line(suite, policy, now) for policy in newest_first[:MAX_RUNS]]
    if len(newest_first) > MAX_RUNS:
        lines.append(f"and {len(newest_first) - MAX_RUNS} more")
    return lines


def _line(suite: Suite, policy: Run | BarePolicy, now: datetime.datetime) -> str:
    if not isinstance(policy, Run):
        return display_text(f"{policy.path} (a policy without a run)")
    agent = policy.config.get("agent")
    name = agent.get("name") if isinstance(agent, Mapping) else agent
    facts = [brief(name), f"seed {brief(policy.config.get('seed'))}"]
    steps = policy.info.get("env_steps")
    facts += [f"{steps:,} steps"] if isinstance(steps, int) else []
    facts += [f"started {age} ago"] if (age := _age(policy.info.get("started"), now)) else []
    try:
        different = differing_settings(suite, policy)
    except InputError:  # a key that it does not record
        different = {}
    text = "".join(f"; {key} is {brief(repr(own))}, not {suite.spec.train[key]!r}" for key, own in different.items())
    return display_text(f"{policy.path} ({', '.join(facts)}{text})")


def _age(started: object, now: datetime.datetime) -> str | None:
    """How long ago, as `3m 20s`; None where the time is not known, or lies ahead."""
    try:
        since = now - datetime.datetime.fromisoformat(str(started))
    except (ValueError, TypeError):  # damaged, or without a time zone
        return None
    seconds = since.total_seconds()
    if seconds >= 86_400:
        days = round(seconds / 86_400)
        return f"{days} day{'s' if days > 1 else ''}"
    return short_duration(seconds * 1000) if seconds >= 0 else None
