"""`verdict.json` of a run directory and the verdict file of a pytest session, which may both come from anyone."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rl_eval import __version__
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.gates.verdict import DIRECTION_SIGNS, SuiteVerdict
from rl_eval.run import read_verdicts, write_json

MAX_CRITERIA = 100


def read_suite_verdicts(run: Path) -> tuple[SuiteVerdict, ...]:
    """The suites that judged a run, every field checked.

    Args:
        run: its directory, or a verdict file.

    Raises:
        InputError: `verdict.json` is missing, a link, damaged, not a verdict, or contradicts itself.
    """
    file, values = run / "verdict.json" if run.is_dir() else run, read_verdicts(run)
    for index, fields in enumerate(values):
        if "part" not in fields:
            raise InputError(f"{file} is damaged at suites.{index}.part (it is missing): judge the run again")
    try:
        suites = TypeAdapter(tuple[SuiteVerdict, ...]).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file} is damaged at suites.{location} ({first['msg']}): judge the run again") from error
    if sum(len(suite.criteria) for suite in suites) > MAX_CRITERIA:
        raise InputError(f"{file} has more than {MAX_CRITERIA} criteria, so it is not a verdict file")
    for index, suite in enumerate(suites):
        if fault := _contradiction(suite):
            raise InputError(f"{file} is damaged at suites.{index} ({fault}): judge the run again")
    return suites


def write_verdict_file(file: Path, suites: Sequence[SuiteVerdict]) -> None:
    """Write the verdicts of a session.

    Raises:
        OSError: it cannot be written.
    """
    written = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_json(file, {"rl_eval": __version__, "written": written, "suites": [suite.to_json() for suite in suites]})


def _contradiction(suite: SuiteVerdict) -> str | None:
    """What no suite writes: a verdict on nothing, or a decision that its own numbers refute."""
    if suite.decision == "NOT_CHECKED":
        return "no criterion was judged"
    for row in suite.criteria:
        if row.estimate is None or row.threshold is None:
            continue
        if row.direction not in DIRECTION_SIGNS:
            return f"{brief(row.criterion)} has a direction that does not exist"
        if row.by == "estimate" and row.decision == "PASS" and row.lead < 0:
            return f"{brief(row.criterion)} passes with an estimate on the wrong side of its threshold"
    return None
