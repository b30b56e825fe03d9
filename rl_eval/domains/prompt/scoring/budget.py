"""What a judge behind an endpoint may use, and what an answer cost by the tokens that it reports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rl_eval.errors import InputError

_MAX_TOKENS = 10**9  # of one answer
_TOKENS = ("prompt_tokens", "completion_tokens")


@dataclass(frozen=True)
class Budget:
    """What a judge may use.

    Attributes:
        calls: requests at most, repeated and failed ones included.
        money: at most, in the currency of the prices; None: not limited.
        price_in, price_out: of a million tokens of requests and of answers.

    Raises:
        InputError: a text that is not a number, or money that no price limits.
    """

    calls: int = 2_000
    money: float | None = None
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("money", self.money), ("price in", self.price_in), ("price out", self.price_out)):
            if value is not None and not 0 <= value < math.inf:
                raise InputError(f"the judge's {name} is {value:g}: use a finite number of 0 or more")
        if self.money is not None and not self.price_in and not self.price_out:
            raise InputError(
                "a budget of money has no effect without prices: set the price of a million tokens in or out as well"
            )

    def cost(self, usage: Any) -> float:
        """What an answer cost, by the `usage` in it.

        Raises:
            InputError: money is limited, and the answer does not say how many tokens it took.
            ValueError: no such numbers.
        """
        usage = {} if usage is None else usage
        if not isinstance(usage, Mapping):
            raise ValueError("usage is not an object")
        tokens = [0 if usage.get(name) is None else int(usage[name]) for name in _TOKENS]
        if not all(0 <= count <= _MAX_TOKENS for count in tokens):
            raise ValueError("usage has no numbers of tokens")
        if self.money is not None and not tokens[0]:
            raise InputError(
                "the judge's answers do not say how many tokens they took (usage.prompt_tokens), so a budget of money "
                "cannot be kept: limit the number of calls instead"
            )
        return (tokens[0] * self.price_in + tokens[1] * self.price_out) / 1e6
