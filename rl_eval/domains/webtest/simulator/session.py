"""What a simulated application remembers of its user, as small whole numbers."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.webtest.page import VALUE_KINDS

FIELDS = 4  # of a form at most
# `always` is 1. `repeats`: how often the form that is sent now was accepted before, with no other in between. The value
# of a field is the index of its kind in `VALUE_KINDS`; 0, a valid one, where it was not filled.
QUANTITIES = (
    "always", "logged_in", "cart", "coupon", "went_back", "language", "filtered", "searched", "repeats", "ordered",
    *(f"field_{index}" for index in range(FIELDS)),
)  # fmt: skip
INDEX = {name: index for index, name in enumerate(QUANTITIES)}
FIRST_FIELD = INDEX["field_0"]
CART_FULL = 3  # the most that a cart holds
LARGEST = {"cart": CART_FULL, "repeats": 3}  # of other quantities: 1

Conditions = dict[str, tuple[int, int]]  # quantity -> its smallest and largest value


def largest_values() -> np.ndarray:
    """The largest value of each quantity, int8 `[Q]`."""
    largest = [len(VALUE_KINDS) - 1 if name.startswith("field_") else LARGEST.get(name, 1) for name in QUANTITIES]
    return np.array(largest, np.int8)
