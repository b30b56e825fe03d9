"""The criteria in a run's `verdict.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_eval.run import RunRecord


def criteria(run: RunRecord) -> list[Mapping[str, Any]]:
    """The rows of all suites that judged the run, unchecked."""
    return [row for suite in run.verdicts for row in suite["criteria"]]
