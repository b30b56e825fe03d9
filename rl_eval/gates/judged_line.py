"""One line on what a suite judges: the run, its agent, its length and age, and what differs from `train:`."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping

from rl_eval import policy as policies
from rl_eval.errors import InputError
from rl_eval.formatting import brief, display_text, short_duration
from rl_eval.gates.repeats import differing_settings
from rl_eval.gates.selection import BarePolicy, PlayedEpisodes, Selection
from rl_eval.gates.suite import Suite
from rl_eval.run import INCIDENTAL_KEYS, Run

MAX_RUNS = 3  # of several, so many are described
MAX_TYPED = 3
MAX_COMMAND = 4096
_OVERRIDE = re.compile(r"(?<!\S)\+{0,2}([A-Za-z_][\w.]*)=(\S+)")
# Groups and keys that are shown already, are equal to the suite's, or do not change what is learned.
_NOT_SHOWN = (
    "seed", "env", "hydra", "hardware", "log_every", "checkpoint_every", "keep_snapshots", *INCIDENTAL_KEYS,
)  # fmt: skip


def judged_lines(suite: Suite, selection: Selection, now: datetime.datetime | None = None) -> list[str]:
    """What a suite judges, newest first, of many runs the first few and how many more there are; and why these.

    Args:
        now: the time that ages are counted to; default: the current time.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    newest_first = selection.runs[::-1]
    lines = [_line(suite, policy, now) for policy in newest_first[:MAX_RUNS]]
    if len(newest_first) > MAX_RUNS:
        lines.append(f"and {len(newest_first) - MAX_RUNS} more")
    return [*lines, *map(display_text, selection.reasons)]


def _line(suite: Suite, policy: Run | BarePolicy, now: datetime.datetime) -> str:
    if not isinstance(policy, Run):
        notes = "".join(f"; {note}" for note in policies.notes(policy.path))
        what = "played elsewhere" if isinstance(policy, PlayedEpisodes) else "a policy without a run"
        return display_text(f"{policy.path} ({what}{notes})")
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
    if typed := _typed(suite, policy):
        text += f"; with {', '.join(typed)}, not set in train:"
    return display_text(f"{policy.path} ({', '.join(facts)}{text})")


def _typed(suite: Suite, run: Run) -> list[str]:
    """The first overrides of a run's command that change what is learned and are not in `train:`.

    The command is a text that the run recorded, which is only shown.
    """
    command = str(run.info.get("command", ""))[:MAX_COMMAND]
    typed = {match[1]: match[2] for match in _OVERRIDE.finditer(command)}
    shown = []
    for key, value in typed.items():
        if key in (*suite.spec.train, "agent") or key.partition(".")[0] in _NOT_SHOWN:
            continue
        own: object = run.config  # a sweep types several values; this run has one of them
        for name in key.split("."):
            own = own.get(name) if isinstance(own, Mapping) else None
        shown.append(brief(f"{key}={value if own is None or isinstance(own, Mapping) else own}", 60))
    more = [f"and {len(shown) - MAX_TYPED} more"] if len(shown) > MAX_TYPED else []
    return [*shown[:MAX_TYPED], *more]


def _age(started: object, now: datetime.datetime) -> str | None:
    """How long ago, as `3m 20s`; None if the time is not known, or is in the future."""
    try:
        since = now - datetime.datetime.fromisoformat(str(started))
    except (ValueError, TypeError):  # damaged, or without a time zone
        return None
    seconds = since.total_seconds()
    if seconds >= 86_400:
        days = round(seconds / 86_400)
        return f"{days} day{'s' if days > 1 else ''}"
    return short_duration(seconds * 1000) if seconds >= 0 else None
