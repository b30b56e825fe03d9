"""`--create-run`: a run in Qase with the cases of the list, in its order; shown first, created with `--send`."""

from __future__ import annotations

from collections.abc import Sequence

from rl_eval.domains.qase.environment_variables import TOKEN
from rl_eval.domains.qase.formats.load import project_code
from rl_eval.domains.qase.formats.rest_client import api_url, connect
from rl_eval.domains.qase.formats.rest_runs import NewRun, checked_code, send_run
from rl_eval.errors import InputError
from rl_eval.formatting import quantity

SHOWN = 8  # ids of cases


def check(code: str, source: str, *, is_tests: bool) -> None:
    """Whether cases of a source can be in a run of a project.

    Raises:
        InputError: they cannot.
    """
    checked_code(code)
    if is_tests:
        raise InputError(
            f"--create-run {code} needs the ids of Qase's cases, which JUnit reports do not have: give the "
            f"export, or rest:{code}, as EXPORT"
        )
    own = project_code(source)
    if own and own != code:
        raise InputError(f"--create-run {code}: the cases of {source} are of the project {own}: name that one")


def create(code: str, title: str, policy: str, cases: Sequence[int], *, send: bool) -> list[tuple[str, str]]:
    """Show or create a run; returns lines that say what was done.

    Raises:
        InputError: no case; with `send`, no token, an address that the token must not go to, or a run that Qase does
            not create.
    """
    if not cases:
        raise InputError(f"--create-run {code}: no case fits in the budget: give more time")
    run = NewRun(
        title,
        f"{quantity(len(cases), 'case')}, those that are likely to fail first. Ordered by {policy}.",
        tuple(cases),
    )
    first = ", ".join(map(str, cases[:SHOWN]))
    rest = f" and {len(cases) - SHOWN:,} more" if len(cases) > SHOWN else ""
    lines = [("run", f"{run.title!r} in project {code}: cases {first}{rest}, in this order")]
    if not send:
        return [*lines, ("not sent", f"add --send to create it at {api_url()} with the token of {TOKEN}")]
    return [*lines, ("created", f"run {send_run(connect(), code, run)} of project {code}")]
