"""A person's override: in the audit log before it counts, and once, no matter where a process ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rl_eval.errors import InputError
from rl_eval.production import review_queue
from rl_eval.production.audit import AuditError
from rl_eval.production.parts import Parts
from rl_eval.production.review import Override
from rl_eval.production.store import UnavailableError

MAX_NUMBERS = 10_000  # of a continuous action


def record_override(parts: Parts, values: dict[str, Any], at: float, names: Sequence[str]) -> Override:
    """Record what a person decided.

    Args:
        values: `decision_id`, `action` (number, name or finite numbers), `reviewer` and, where there is one, `reason`.
        at: seconds since 1970.
        names: of the actions; empty where they have none.

    Raises:
        ReviewedError: nobody was asked, or somebody has decided.
        AuditError: the audit log cannot be written; nothing counts.
        InputError: a value is missing or not valid; nothing counts.
        UnavailableError: the store is away. Its sentence says where this counts as soon as it is back.
    """
    unknown = sorted(values.keys() - {"decision_id", "action", "reviewer", "reason"})
    texts = [values.get("decision_id"), values.get("reviewer"), values.get("reason", "")]
    if unknown or not all(isinstance(text, str) for text in texts) or "action" not in values:
        raise InputError("a decision has decision_id, action, reviewer and, if you like, reason: send these")
    decision_id, reviewer, reason = (str(text) for text in texts)
    if any("\0" in text or not is_utf8(text) for text in (decision_id, reviewer, reason)):
        raise InputError("decision_id, reviewer and reason must be text without NUL characters: remove these")
    action = values["action"]
    if isinstance(action, str) and names.count(action) == 1:
        action = names.index(action)
    if names and not (type(action) is int and 0 <= action < len(names)):
        raise InputError(f"action {str(action)[:40]!r} is not one of the {len(names)}: send its name, or number from 0")
    if not names and not _is_action(action):
        raise InputError("action must be a whole number from 0, or a list of finite numbers: send the one that counts")
    review = review_queue.read(parts.store, decision_id)
    legal = None if review is None or not isinstance(action, int) else review.legal
    if legal is not None and not (action < len(legal) and legal[action]):
        raise InputError(f"action {action} was not legal in decision {decision_id}: choose another")
    complete_overrides(parts)
    override = review_queue.intend(parts.store, decision_id, action, reviewer, at, reason, log_size=parts.audit.size())
    try:
        try:
            _complete(parts, decision_id)
        except AuditError:
            review_queue.withdraw(parts.store, decision_id)
            raise
    except UnavailableError as error:
        raise UnavailableError(
            f"what {override.reviewer} decided is kept, and counts once the store can be written ({error.reason})",
            error.reason,
        ) from error
    return override


def complete_overrides(parts: Parts) -> None:
    """Have every override count that a process has left in between.

    Raises:
        AuditError, UnavailableError: the audit log or the store is away.
    """
    for decision_id in review_queue.incomplete(parts.store):
        _complete(parts, decision_id)


def _complete(parts: Parts, decision_id: str) -> None:
    def log(override: Override, log_size: int) -> None:
        lines = parts.audit.since(log_size)
        if not any(line.event == "override" and line.facts.get("decision_id") == decision_id for line in lines):
            parts.audit.append("override", override.reviewer, _facts(override))

    review_queue.complete(parts.store, decision_id, log)


def _facts(override: Override) -> dict[str, Any]:
    return {
        "decision_id": override.decision_id, "decided": override.decided, "action": override.action,
        "reason": override.reason,
    }  # fmt: skip


def is_utf8(text: str) -> bool:
    """Whether databases and logs can hold a text; half of a surrogate pair, which JSON can carry, is not one."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_action(action: Any) -> bool:
    if isinstance(action, list):
        return 0 < len(action) <= MAX_NUMBERS and all(
            type(part) in (int, float) and math.isfinite(part) for part in action
        )
    return type(action) is int and 0 <= action < 1 << 31
