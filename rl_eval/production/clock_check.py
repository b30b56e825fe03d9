"""Whether a clock may be right, before anything is removed by it: a clock that is ahead removes data too early.

Servers and collectors note once a minute when they worked. A process whose clock is later than the last note by more
than the retention has a wrong clock, or nothing has run for that long. It cannot know which, so it removes nothing, and
a person decides.
"""

from __future__ import annotations

import datetime

from rl_eval.errors import InputError
from rl_eval.production.store import Store

DOCUMENT = "clock"
NOTE_S = 60.0  # between notes
DAY_S = 86_400.0


class ClockError(InputError):
    """The clock is ahead of the last note by more than the retention."""


def check_clock(store: Store, now: float, retention: float) -> None:
    """Check that this clock does not make everything in the store older than the retention.

    Args:
        now: seconds since 1970, as is `retention` in seconds.

    Raises:
        ClockError: it does.
        UnavailableError: the store is away.
    """
    noted = store.document(DOCUMENT).body.get("at")
    if noted is not None and now - noted > retention:
        raise ClockError(
            "the clock may be wrong, so nothing is removed by it: it is at "
            f"{_moment(now)}, {(now - noted) / DAY_S:.1f} days after a server or collector last worked on the store "
            f"({_moment(noted)}); set the clock or, if it is right, run `rl-eval production erase CONFIG --old`"
        )


def note_time(store: Store, now: float) -> None:
    """Note that this process works at this time; where another one notes its own at once, that one is kept.

    Raises:
        UnavailableError: the store is away.
    """
    document = store.document(DOCUMENT)
    store.swap_document(document.number, {"at": now}, DOCUMENT)


def forget_time(store: Store) -> None:
    """Remove the note, so that any clock is taken to be right until the next one.

    Raises:
        UnavailableError: the store is away.
    """
    store.swap_document(store.document(DOCUMENT).number, {}, DOCUMENT)


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
