"""The typer application of `rl-eval threat`: the arguments of `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_eval.extras import imports_of_extra

app = typer.Typer(
    help="Look into files of network flows.",
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group() -> None:
    pass


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file of flows.", show_default=False)],
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="The label column (env.label).", show_default=False)
    ] = None,
    benign: Annotated[
        list[str] | None,
        typer.Option("--benign", metavar="VALUE", help="A label that means benign (env.benign_labels); repeatable."),
    ] = None,
    threat: Annotated[
        list[str] | None,
        typer.Option("--threat", metavar="VALUE", help="A label that means threat (env.threat_labels); repeatable."),
    ] = None,
    category: Annotated[
        str | None,
        typer.Option("--category", metavar="COLUMN", help="The column of the attack type (env.category)."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COLUMN", help="A column that is not a feature (env.ignore); repeatable."),
    ] = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option("--categorical", metavar="COLUMN", help="A column of codes (env.categorical); repeatable."),
    ] = None,
    times: Annotated[
        list[str] | None,
        typer.Option("--times", metavar="COLUMN", help="A column of seconds since 1970 (env.times); repeatable."),
    ] = None,
    costs: Annotated[
        str | None,
        typer.Option(
            "--costs",
            metavar="PRICES",
            help="Your prices (env.costs): [[allow,block,quarantine,alert],[…]], of a benign flow and of a threat.",
        ),
    ] = None,
    suite: Annotated[
        Path | None, typer.Option("--suite", metavar="FILE", help="Write the suite to this new file.")
    ] = None,
) -> None:
    """Print how a file of flows is read, column by column, how to train on it, and a suite that judges the run.

    \b
      rl-eval threat inspect flows.csv
      rl-eval threat inspect conn.log.gz --label label --category detailed-label
      rl-eval threat inspect capture.binetflow --label Label --threat '*Botnet*' --benign '*'
      rl-eval threat inspect eve.json --suite suites/eve.yaml --costs '[[0,100,40,10],[500,0,20,60]]'

    FILE is CSV (commas, semicolons or tabs; UTF-8, Windows-1252 or UTF-16), a Zeek log, Suricata's EVE JSON, JSON
    with one object per line, or Parquet; text may be packed with gzip. Without --label it looks for one. In labels, *
    means any text, and on its own every value that is not named.

    Exit status: 0 done, 2 bad input.
    """
    with imports_of_extra("threat", "rl-eval threat inspect"):
        from rl_eval.domains.threat.commands.inspection import inspect_file
    inspect_file(
        file,
        label=label,
        benign=tuple(benign or ()),
        threat=tuple(threat or ()),
        category=category,
        ignore=tuple(ignore or ()),
        categorical=tuple(categorical or ()),
        times=tuple(times or ()),
        costs=costs,
        suite=suite,
    )
