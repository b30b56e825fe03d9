"""Print or write a comparison, and turn it into an exit status."""

from __future__ import annotations

from pathlib import Path

import typer

from rl_eval.compare.comparison import Comparison
from rl_eval.run import as_json as json_text


def show_comparison(result: Comparison, *, gate: bool, html: Path | None, as_json: bool) -> int:
    """Print and write a comparison; returns the exit status.

    Args:
        gate: whether the exit status is 1 when the candidate is shown to be worse.
        html: where to write a page.
        as_json: print JSON instead of tables.

    Raises:
        InputError: the page cannot be written.
    """
    if html is not None:
        from rl_eval.compare.page import write_page

        write_page(html, result)
    if as_json:
        typer.echo(json_text({**result.to_json(), "closes_gate": result.closes_gate}), nl=False)
    else:
        from rl_eval.compare.tables import print_comparison

        print_comparison(result, gate=gate)
    return int(gate and result.closes_gate)
