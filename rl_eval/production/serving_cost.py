"""What serving costs: the time for which servers hold their machine, and how many decisions they make in it.

A machine costs money whether or not it gets requests, so what counts is the time from a server's start on, and not that
of its processor. It is that of all servers since the store began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rl_eval.cost import Cost, Rate, chosen_machine, read_prices
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.production.canary.calls import Documents, read_reports, report
from rl_eval.production.collection_config import ServeConfig

DOCUMENT = "serving"
HELD = "held"
THOUSAND = 1000


@dataclass(frozen=True)
class Served:
    """What servers did.

    Attributes:
        seconds: for which they ran, added up.
        decisions: that they made, shadows included.
    """

    seconds: float = 0.0
    decisions: int = 0

    def cost_per_thousand(self, rate: Rate) -> Cost | None:
        """The cost of 1,000 decisions; None before there is one.

        Args:
            rate: of the machine of one server.
        """
        return rate.cost(self.seconds * THOUSAND / self.decisions) if self.decisions else None


def rate_of(config: ServeConfig) -> Rate:
    """The rate of the part of a machine that one server holds; unknown where the config names no machine.

    Raises:
        InputError: the price list has no such row.
    """
    return replace(rate_of_machine(config.machine, "serve.machine"), share=config.share)


def rate_of_machine(machine: str | None, key: str) -> Rate:
    """The rate of a machine that a production config names; unknown where it names none.

    Args:
        key: of the config.

    Raises:
        InputError: the price list has no such row.
    """
    prices = read_prices()
    if machine is not None and machine not in prices.rates:
        names = list(prices.rates)
        raise InputError(
            f"{key}: {brief(machine, 60)!r} is not in the price list: {nearest(machine, names)}give one of "
            f"{', '.join(names)}, or leave {key} out, and no cost is shown"
        )
    return chosen_machine(prices, machine, None)


def report_served(store: Documents, server: str, served: Served) -> bool:
    """Write what one server did since it started; see `report_calls`."""
    return report(store, DOCUMENT, server, {HELD: [round(served.seconds, 3), served.decisions]})


def read_served(store: Documents) -> Served:
    """What all servers did.

    Raises:
        UnavailableError: the store is away.
    """
    sums = read_reports(store, DOCUMENT)
    return Served(float(sums[HELD][0]), int(sums[HELD][1])) if HELD in sums else Served()
