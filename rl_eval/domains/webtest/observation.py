"""What an agent sees, as columns: of the page, then of each of K candidates.

Columns that follow only from the page are computed here. Those that follow from what was tried before are in
`exploration.py`. An observation is `[P + K · C]`: `PAGE_COLUMNS`, then `CANDIDATE_COLUMNS` for each candidate, 0 where
there is none.
"""

from __future__ import annotations

import re
from functools import lru_cache

import numpy as np

from rl_eval.domains.webtest.fixed_strings import TRIGRAM, WORD
from rl_eval.domains.webtest.page import PLACES, ROLES, VALUE_KINDS, VALUES_OF, Candidate, Page
from rl_eval.hashing import hash_text

TEXT = 24  # columns of hashed n-grams of a text
READ = 2_000  # characters of a page's text
# What an action caused when it was taken last.
RESULTS = (
    "new_state", "known_state", "same_state", "errors_shown", "new_failure", "known_failure", "refused", "timed_out",
)  # fmt: skip

PAGE_FIXED = (
    *(f"text_{column}" for column in range(TEXT)),
    "status_4xx", "status_5xx", "shows_errors", "has_log_out", "badge", "links", "fields", "buttons",
)  # fmt: skip
PAGE_MOVING = (
    "state_number", "visits", "first_visit", "actions_left", "states_found", "failures_found", "since_new",
    *(f"filled_{kind}" for kind in VALUE_KINDS), *(f"caused_{result}" for result in RESULTS),
)  # fmt: skip
PAGE_COLUMNS = (*PAGE_FIXED, *PAGE_MOVING)

CANDIDATE_FIXED = (
    *(f"role_{role}" for role in ROLES), *(f"place_{place}" for place in PLACES),
    *(f"value_{kind}" for kind in VALUE_KINDS), "position", "destructive",
    *(f"text_{column}" for column in range(TEXT)),
)  # fmt: skip
CANDIDATE_MOVING = (
    "number", "tries", "untried", "target_known", "target_number", "target_visits", "target_untried", "holds",
    *(f"caused_{result}" for result in RESULTS),
)  # fmt: skip
CANDIDATE_COLUMNS = (*CANDIDATE_FIXED, *CANDIDATE_MOVING)
P, C = len(PAGE_COLUMNS), len(CANDIDATE_COLUMNS)

_WORD = re.compile(r"[a-z]+|[0-9]+")


@lru_cache(maxsize=65_536)
def text_columns(text: str) -> np.ndarray:
    """A text as signed hashed n-grams, float32 `[TEXT]` of length 1; a text without letters or digits is 0.

    Words, each in two columns, and trigrams of their letters, so that "log in" and "login" are near to each other
    (Weinberger et al., *Feature hashing for large scale multitask learning*, ICML 2009).
    """
    row = np.zeros(TEXT, np.float32)
    words = _WORD.findall(text.lower())
    for word in words:
        _add(row, hash_text(f"{WORD} {word}"), 1.0)
        _add(row, hash_text(f"{WORD} {WORD} {word}"), 1.0)
    joined = "".join(words)
    for start in range(len(joined) - 2):
        _add(row, hash_text(f"{TRIGRAM} {joined[start : start + 3]}"), 0.7)
    length = float(np.sqrt(row @ row))
    row = row / np.float32(length) if length else row
    row.flags.writeable = False
    return row


def _add(row: np.ndarray, digest: int, weight: float) -> None:
    row[digest % TEXT] += weight if digest >> 32 & 1 else -weight


def page_fixed(page: Page) -> np.ndarray:
    """The columns `PAGE_FIXED` of a page, float32."""
    roles = [element.role for element in page.elements]
    fields = sum(role in VALUES_OF for role in roles)
    plain = (
        400 <= page.status < 500,
        page.status >= 500,
        page.shows_errors,
        page.has_log_out,
        min(page.badge, 8) / 4,
        min(roles.count("link"), 32) / 16,
        min(fields, 16) / 8,
        min(roles.count("button") + roles.count("submit"), 16) / 8,
    )
    text = text_columns(f"{page.title} {page.title} {page.text}"[:READ])
    return np.concatenate([text, np.array(plain, np.float32)])


def candidate_fixed(candidate: Candidate) -> np.ndarray:
    """The columns `CANDIDATE_FIXED` of a candidate, float32."""
    element = candidate.element
    plain = (
        *(element.role == role for role in ROLES),
        *(element.place == place for place in PLACES),
        *(candidate.value_kind == kind for kind in VALUE_KINDS),
        element.position,
        element.destructive,
    )
    return np.concatenate([np.array(plain, np.float32), text_columns(f"{element.text} {element.attributes}")])


def without_turns(obs: np.ndarray) -> np.ndarray:
    """Observations without the columns that say which of several testers acts, a view `[N, P + K · C]`."""
    return obs[:, (obs.shape[1] - P) % C :]


def candidate_rows(obs: np.ndarray) -> np.ndarray:
    """The candidates of observations `[N, P + K · C]`, a view `[N, K, C]`."""
    return obs[:, P:].reshape(len(obs), -1, C)


def legal_of(obs: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The mask, or without one all candidates, bool `[N, K]`."""
    return np.ones(candidate_rows(obs).shape[:2], bool) if mask is None else mask
