"""`rl-eval production`: the loop around a served policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_eval.cli._app import app

production = typer.Typer(
    help="Serve, collect, learn, prove and roll out: learning in production.", no_args_is_help=True
)
app.add_typer(production, name="production")

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A production config, a YAML file.", show_default=False)]


@production.command()
def check(config: Config) -> None:
    """Check a production config, and print it with its defaults.

    \b
      rl-eval production check production.yaml

    Exit status: 0 valid, 2 not.
    """  # fmt: skip
    import yaml

    from rl_eval.production.config import load_config

    typer.echo(yaml.safe_dump(load_config(config).model_dump(), sort_keys=False).rstrip())
