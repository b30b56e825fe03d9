"""What serving costs: the time for which servers hold their machine, and how many decisions they make in it.

A machine costs money whether or not it gets requests, so what counts is the time from a server's start on, and not that
of its processor. It is that of all servers since the store began.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rl_eval.cost import Cost, Rate, chosen_machine, read_prices
from rl_eval.errors import InputError
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
    try:
        return replace(chosen_machine(read_prices(), config.machine, None), share=config.share)
    except InputError as error:
        raise InputError(f"serve.machine: {error}") from error


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
