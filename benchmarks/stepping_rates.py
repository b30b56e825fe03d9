"""The command of the benchmarks that step an environment of ours with several numbers of copies, in turn."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence

from benchmarks.interleave import in_turn, machine, spread


def measure_rates(
    sides: Callable[[int], Mapping[str, Callable[[], float]]],
    unit: str,
    arguments: Sequence[str] | None,
    *,
    description: str | None,
    copies: Sequence[int],
) -> None:
    """Parse the arguments, run every side in turn, and print the median rate of each with its range.

    Args:
        sides: of a number of copies: name -> a function that measures units per second.
        unit: such as steps.
        copies: the default of `--copies`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=copies)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    functions = {name: function for count in args.copies for name, function in sides(count).items()}
    results = {name: spread(values) for name, values in in_turn(functions, args.rounds).items()}
    if args.json:
        print(json.dumps({"machine": machine(("numpy",)), f"{unit}_per_s": results}))
        return
    width = max(map(len, results)) + 2
    for name, values in results.items():
        print(f"{name:<{width}}{values['median']:>12,.0f} {unit}/s  ({values['min']:,.0f} to {values['max']:,.0f})")
