"""The bearer token that `rl-eval serve` asks for, and that is sent to servers of policies."""

from __future__ import annotations

import os

from rl_eval.errors import InputError

TOKEN_VARIABLE = "RL_EVAL_TOKEN"


def environment_token() -> str | None:
    """The token of the environment; None if there is none.

    Raises:
        InputError: it holds characters that no header has.
    """
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise InputError(f"{TOKEN_VARIABLE} contains a space or characters other than printable ASCII: set it again")
    return token
