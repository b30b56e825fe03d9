"""User and password of a Redis server: taken out of an address before anything reads, shows or stores it.

They go into an environment variable, from which `agents` reads them, and which the processes of a sweep inherit. So
neither `run.json` with its command, nor `config.yaml`, nor a tracker ever has them.
"""

from __future__ import annotations

import os
import re

from rl_eval.errors import InputError

ENVIRONMENT_VARIABLE = "RL_EVAL_REDIS_AUTH"  # also in agents/redis_address.py
# Up to the last @ of an address: a password that is not percent-encoded may hold any character.
_CREDENTIALS = re.compile(r"(?P<scheme>rediss?://)(?P<credentials>(?:(?!rediss?://)[^\s'\"])*)@", re.IGNORECASE)


def take_out(text: str) -> str:
    """A text whose Redis addresses have no user and password any more; see above.

    Raises:
        InputError: two addresses have different ones.
    """
    found = {match["credentials"] for match in _CREDENTIALS.finditer(text)}
    if len(found) > 1:
        raise InputError("two Redis addresses have different passwords: name one server, or give both one password")
    if found:
        os.environ[ENVIRONMENT_VARIABLE] = found.pop()
    return _CREDENTIALS.sub(lambda match: match["scheme"], text)
