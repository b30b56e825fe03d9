"""`Cost`: machine time, energy and money of some work, and sums of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rl_eval.formatting import number

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cost:
    """What some work took.

    Attributes:
        machine_s: seconds for which it held a machine; half of a machine for 10 s is 5 s.
        energy_wh: watt-hours, estimated from the rated power of the machine; None: unknown.
        money: in `currency`; None: unknown.
        currency: None if the money is unknown.
    """

    machine_s: float = 0.0
    energy_wh: float | None = None
    money: float | None = None
    currency: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The values without the currency, which a run has once."""
        return {"machine_s": self.machine_s, "energy_wh": self.energy_wh, "money": self.money}


def total(costs: Iterable[Cost]) -> Cost:
    """The sum. What is unknown of a part, or in another currency, is unknown of the whole."""
    parts = list(costs)
    energies = [part.energy_wh for part in parts]
    money = [part.money for part in parts]
    currencies = {part.currency for part in parts}
    priced = len(currencies) == 1 and None not in money
    return Cost(
        machine_s=sum(part.machine_s for part in parts),
        energy_wh=sum(energies) if parts and None not in energies else None,  # type: ignore[arg-type]
        money=sum(money) if priced else None,  # type: ignore[arg-type]
        currency=next(iter(currencies)) if priced else None,
    )


def money_text(cost: Cost) -> str:
    """`0.0123 USD`, or `unknown`."""
    return UNKNOWN if cost.money is None else f"{number(cost.money, 3)} {cost.currency}"


def energy_text(cost: Cost) -> str:
    """`0.75 Wh`, or `unknown`."""
    return UNKNOWN if cost.energy_wh is None else f"{number(cost.energy_wh, 3)} Wh"


def cost_text(cost: Cost) -> str:
    """`12.3 machine-seconds, energy about 0.75 Wh, 0.0012 USD`."""
    energy = "energy unknown" if cost.energy_wh is None else f"energy about {energy_text(cost)}"
    money = "money unknown" if cost.money is None else money_text(cost)
    return f"{number(cost.machine_s)} machine-seconds, {energy}, {money}"
