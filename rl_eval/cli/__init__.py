"""`rl-eval`: commands on runs and suites. `train.py` trains, and `pytest` judges.

A command imports what is slow to load only when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from rl_eval.cli import (  # noqa: F401  # they add their commands
    _audit,
    _cost,
    _export,
    _init,
    _list,
    _power,
    _production,
    _production_loop,
    _replay,
    _rollout_commands,
    _runs,
    _schema,
    _score,
    _serve,
    _tune,
    _view,
)
from rl_eval.cli._app import app
from rl_eval.errors import InputError
from rl_eval.memory import out_of_memory
from rl_eval.stop_signals import interruptible

__all__ = ["app", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Args:
        arguments: without the program's name; None: those of the process.
    """
    from rl_eval.terminal import print_error

    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with interruptible():
            status = app(args=typed or ["--help"], prog_name="rl-eval", standalone_mode=False)
    except InputError as error:
        print_error(str(error))
        return 2
    except typer.TyperException as error:  # how the command line was typed
        context = getattr(error, "ctx", None)
        if context is not None and type(error).__name__ == "NoArgsIsHelpError":  # a group without a command
            typer.echo(context.get_help())
            return 0
        message = " ".join(error.format_message().split())
        command = context.command_path if context is not None else "rl-eval"
        print_error(f"{message.rstrip('.?')}: see `{command} --help`")
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # `rl-eval schema | head`
        sys.stderr.close()
        return 0
    except (OSError, MemoryError, RuntimeError) as error:
        from rl_eval.run import storage_error

        if (reason := storage_error(error) or out_of_memory(error)) is None:
            raise
        print_error(f"{reason}: make room, and try again")
        return 2
    return status if isinstance(status, int) else 0
