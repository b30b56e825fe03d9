"""What each of several testers does: the generator, the executor, the analyst."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.webtest.page import ROLES, VALUES_OF

BROWSER = ROLES.index("browser")  # back and start, which everyone may use
_ALL = frozenset(range(len(ROLES)))
_VALUES = frozenset(ROLES.index(role) for role in VALUES_OF)
# Task -> roles of the elements that it may use. The generator says where to go, and the executor what to enter and when
# to send it. The analyst may do everything, as it looks at what seems to be a failure.
TASKS = {"generator": _ALL - _VALUES, "executor": _VALUES | {ROLES.index("submit"), BROWSER}, "analyst": _ALL}


def task_of_turn(turn: int) -> str:
    """The task of the tester of a turn; more than three testers begin again."""
    return list(TASKS)[turn % len(TASKS)]


def roles_of_turns(testers: int) -> np.ndarray:
    """Whether the tester of a turn may use an element of a role, bool `[T, R]`."""
    return np.array([[role in TASKS[task_of_turn(turn)] for role in range(len(ROLES))] for turn in range(testers)])
