"""What suites have said of a run: the criteria in its `verdict.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rl_eval.diagnostics._reading import Reading
from rl_eval.errors import InputError


def criteria(reading: Reading) -> Iterator[Mapping[str, Any]]:
    """Each criterion as it stands there, unchecked; nothing where the run has not been judged."""
    from rl_eval.run import read_json

    file = reading.path / "verdict.json"
    if file.is_symlink() or not file.is_file():
        return
    try:
        suites = read_json(file).get("suites")
    except InputError as error:
        if str(error) not in reading.missing:
            reading.missing.append(str(error))
        return
    for suite in suites if isinstance(suites, list) else []:
        found = suite.get("criteria") if isinstance(suite, dict) else None
        for criterion in found if isinstance(found, list) else []:
            if isinstance(criterion, dict):
                yield criterion
