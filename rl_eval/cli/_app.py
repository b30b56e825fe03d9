"""The command line `rl-eval`: its help, its options, and the commands of domains."""

from __future__ import annotations

from typing import Annotated

import typer

from rl_eval import __version__
from rl_eval.domains import domains

_HELP = """Prove that a reinforcement-learning agent is good enough.

A suite is a YAML file with `rl_eval: 1` that says what good enough means. pytest decides it on held-out
episodes:

\b
  pytest suites/                                                  # the newest matching runs of train.py
  pytest suites/mine.yaml --rl-run outputs/<date>/<run>           # this run
  pytest suites/mine.yaml --rl-run onnx:policy.onnx               # an exported policy
  pytest suites/mine.yaml --rl-run sb3:ppo:model.zip --rl-trust   # a Stable-Baselines3 model, which is a pickle

The commands below do the rest. Exit status: 0 done, 2 bad input, 130 interrupted; 1 if `verify` finds a
difference or `compare --gate` a worse candidate.
"""

app = typer.Typer(
    name="rl-eval",
    help=_HELP,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _domain in domains():
    if (_commands := _domain.commands()) is not None:
        app.add_typer(_commands, name=_domain.name, no_args_is_help=True)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"rl-eval {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
