"""What `rl-eval compare` does with a comparison: print it, write it, and say with the exit status who is worse."""

from __future__ import annotations

from pathlib import Path

import typer

from rl_eval.compare.comparison import Comparison, compare_runs
from rl_eval.errors import InputError
from rl_eval.gates.ledger import DEFAULT as LEDGER
from rl_eval.run import as_json as json_text

__all__ = ["LEDGER", "compare_runs", "tell"]


def tell(comparison: Comparison, *, gate: bool, html: Path | None, as_json: bool) -> int:
    """Print and write; returns the exit status.

    Args:
        gate: whether a candidate that is worse with evidence is status 1.
        html: where to write a page.
        as_json: JSON in the place of tables.

    Raises:
        InputError: there is nothing to gate by, or the page cannot be written.
    """
    if gate and not comparison.against:
        raise InputError(
            "--gate needs a candidate and a baseline, and all runs that are named have one config: "
            "name the baseline with --baseline"
        )
    if html is not None:
        from rl_eval.compare.page import write_page

        write_page(html, comparison)
    if as_json:
        typer.echo(json_text({**comparison.to_json(), "worse": comparison.worse}), nl=False)
    else:
        from rl_eval.compare.tables import print_comparison

        print_comparison(comparison, gate=gate)
    return int(gate and comparison.worse)
