"""JSON of answers, and which status and sentence answers an error."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from rl_eval.errors import InputError
from rl_eval.serving.bodies import RefusedError

ERRORS = (InputError, sqlite3.Error, OSError)  # all that are answered with a sentence


def json_text(values: Mapping[str, Any]) -> bytes:
    """A JSON object; its numbers are finite."""
    return json.dumps(values, allow_nan=False).encode()


def refusal_of(error: Exception) -> tuple[int, str]:
    """The status and the sentence for one of `ERRORS`."""
    if isinstance(error, sqlite3.Error | OSError):
        return 503, f"the server's folder cannot be used ({error}): nothing of this request was kept"
    return (error.status if isinstance(error, RefusedError) else 422), str(error)
