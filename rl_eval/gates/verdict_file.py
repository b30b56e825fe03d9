"""Read `verdict.json` of a run directory, which may come from anyone."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from rl_eval.errors import InputError
from rl_eval.gates.verdict import SuiteVerdict
from rl_eval.run import read_verdicts

MAX_CRITERIA = 100


def read_suite_verdicts(run: Path) -> tuple[SuiteVerdict, ...]:
    """The suites that judged a run, every field checked.

    Raises:
        InputError: `verdict.json` is missing, a link, damaged, or not a verdict.
    """
    file = run / "verdict.json"
    try:
        suites = TypeAdapter(tuple[SuiteVerdict, ...]).validate_python(read_verdicts(run))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{file} is damaged at suites.{location} ({first['msg']}): judge the run again") from error
    if sum(len(suite.criteria) for suite in suites) > MAX_CRITERIA:
        raise InputError(f"{file} has more than {MAX_CRITERIA} criteria, so it is not a verdict of ours")
    return suites
