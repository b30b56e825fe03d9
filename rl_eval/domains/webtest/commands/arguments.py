"""What a person gave to `rl-eval webtest explore`, checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.domains.webtest.explore.log_in import read_state, require_state_of, run_script
from rl_eval.errors import TRUST_IT, InputError
from rl_eval.formatting import mask_url
from rl_eval.net import AddressError, parse_url


def checked_url(url: str) -> str:
    """The URL of the first page, with a slash where it has no path.

    Raises:
        InputError: it is not one.
    """
    page, mark, route = url.partition("#")  # an application may keep its routes in the fragment
    try:
        parse_url(page)
    except AddressError as error:
        raise InputError(
            f"URL {mask_url(url)!r} cannot be used (it {error}): give one such as http://127.0.0.1:8000/"
        ) from error
    if not re.match(r"https?://[^/?]+/", page, re.IGNORECASE):
        page = re.sub(r"(?<!/)(?=\?|$)", "/", page, count=1)
    return f"{page}{mark}{route}"


def log_in_of(auth: Path | None, login: Path | None, base_url: str, trust: bool) -> Callable[[], dict[str, Any]] | None:
    """What gives a fresh storage state; None if there is no log-in.

    Raises:
        InputError: both are given, a file does not exist or is not a state of this application, or a script needs
            trust.
    """
    if auth is not None and login is not None:
        raise InputError("--auth and --login exclude each other: give one of them")
    if auth is not None:
        state = read_state(auth)
        require_state_of(state, base_url, auth)
        return lambda: state
    if login is None:
        return None
    if not trust:
        raise InputError(f"--login {login} is code that runs on this machine: {TRUST_IT}")
    if not login.is_file():
        raise InputError(f"--login {login} does not exist: give a Python file that defines log_in(page)")
    script = login
    return lambda: run_script(script, base_url)


def allowed_words(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether the words of an element that looks destructive match one of the patterns.

    Raises:
        InputError: one is not a regular expression.
    """
    try:
        allowed = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    except re.error as error:
        raise InputError(f"--allow {error.pattern!r} is not a regular expression ({error}): correct it") from error
    return lambda words: any(pattern.search(words) for pattern in allowed)


def own_values(values: Sequence[str]) -> Mapping[str, str]:
    """Name of a field -> a valid value.

    Raises:
        InputError: one has no `=`.
    """
    for value in values:
        if "=" not in value:
            raise InputError(f"--value {value!r} has no =: write NAME=VALUE with the name of a field")
    return dict(value.split("=", 1) for value in values)
