"""`Budget`: what a run, or the jobs of a sweep together, may spend."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rl_eval.cost._amounts import Cost
from rl_eval.errors import InputError
from rl_eval.formatting import brief

_TIME_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """An amount of money or of machine time.

    Attributes:
        amount: in `unit`.
        unit: a currency of three letters, or `s`, `min` or `h` of machine time.
    """

    amount: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `5 USD` or `2 h`.

        Raises:
            ValueError: it has another form.
        """
        match = re.fullmatch(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*([A-Za-z]+)\s*", text)
        unit = match[2] if match else ""
        if match and unit.lower() in _TIME_UNITS:
            unit = unit.lower()
        elif match and re.fullmatch("[A-Z]{3}", unit.upper()):
            unit = unit.upper()
        else:
            raise ValueError("give an amount of money or of machine time, such as '5 USD', '2 h' or '30 min'")
        amount = float(match[1])
        if not 0 < amount < math.inf:
            raise ValueError("a budget is more than 0")
        return cls(amount, unit)

    @property
    def is_money(self) -> bool:
        """Whether it is money, and not machine time."""
        return self.unit not in _TIME_UNITS

    def used_by(self, cost: Cost) -> float:
        """How much of the unit a cost is.

        Raises:
            InputError: it is a budget of money, and the money is unknown or in another currency.
        """
        if not self.is_money:
            return cost.machine_s / _TIME_UNITS[self.unit]
        self.require_currency(cost.currency)
        assert cost.money is not None
        return cost.money

    def require_currency(self, currency: str | None) -> None:
        """Check that the price of a machine is in the currency of the budget.

        Raises:
            InputError: the price is unknown, or in another currency.
        """
        if not self.is_money or currency == self.unit:
            return
        what = "the price of this machine is not known" if currency is None else f"its price is in {brief(currency)}"
        raise InputError(
            f"hardware.budget={self} is money, and {what}: name the machine with hardware.machine=..., give its price "
            "in your own list with hardware.prices=FILE, or give machine time, such as 'hardware.budget=2 h'"
        )

    def __str__(self) -> str:
        return f"{self.amount:.12g} {self.unit}"
