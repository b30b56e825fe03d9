"""What work costs: machine time, an estimate of energy, and money, by a dated price list; and budgets.

What is not known is None, and shown as `unknown`; it is never 0.
"""

from rl_eval.cost._amounts import Cost, cost_text, energy_text, money_text, total
from rl_eval.cost._budget import Budget
from rl_eval.cost._elsewhere import Elsewhere, Speed, elsewhere
from rl_eval.cost._meter import Meter
from rl_eval.cost._prices import (
    KINDS,
    MachinePrice,
    PriceList,
    Rate,
    chosen_machine,
    matches_gpu,
    read_prices,
)
from rl_eval.cost._recorded import Reached, RecordedCost, cost_to_reach, recorded_cost
from rl_eval.cost._shared_clock import SharedClock

__all__ = [
    "KINDS",
    "Budget",
    "Cost",
    "Elsewhere",
    "MachinePrice",
    "Meter",
    "PriceList",
    "Rate",
    "Reached",
    "RecordedCost",
    "SharedClock",
    "Speed",
    "chosen_machine",
    "cost_text",
    "cost_to_reach",
    "elsewhere",
    "energy_text",
    "matches_gpu",
    "money_text",
    "read_prices",
    "recorded_cost",
    "total",
]
