"""What the diagnostics find, for a page."""

from __future__ import annotations

from rl_eval.diagnostics import Finding, Reading, all_findings
from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.report.reading import Told


def findings_of(told: Told, missing: list[str], *, trust: bool = False) -> list[Finding] | None:
    """The findings on one run, most important first; None where they cannot be had, which `missing` then says.

    Args:
        missing: sentences on what a page cannot show; grows.
    """
    try:
        return all_findings(Reading(told.run.path, told.run.info, told.run.config, told.metrics, trust))
    except InputError as error:
        missing.append(f"the findings: {error}")
    except Exception as error:  # an environment or data of somebody else; a page shows what there is
        missing.append(f"the findings: {type(error).__name__}: {brief(' '.join(str(error).split()), 300)}")
    return None
