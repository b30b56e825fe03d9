"""Features of test cases that are the same in all of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rl_eval.diagnostics._finding import Finding
from rl_eval.diagnostics._reading import Reading
from rl_eval.diagnostics._registry import diagnostic
from rl_eval.errors import InputError

MANY = 0.5


@diagnostic
def silent_features(reading: Reading) -> Finding | None:
    """Features of test cases that say nothing: the same in every execution of the training part.

    Reads what the run wrote down when it began, so the data need not be here.
    """
    file = reading.path / "preprocessing.json"
    if reading.setting("env.name") != "qase" or not file.is_file():
        return None
    said = _read(file, reading.missing)
    features, constant = _names(said.get("features")), _names(said.get("constant"))
    if not features or not constant:
        return None
    rates = said.get("default_rates")
    default = [name for name in constant if isinstance(rates, dict) and rates.get(name) == 1.0]
    unset = f", {len(default)} of them as if nothing had been filled in" if default else ""
    return Finding(
        name="silent_features",
        severity="warning" if len(constant) > MANY * len(features) else "note",
        layer="data",
        title="features of the test cases say nothing",
        evidence=f"{len(constant)} of {len(features)} are the same in all of training{unset}: {', '.join(constant)}",
        meaning="No agent can learn from them. Where the project does fill in these fields, they were not read: "
        "`rl-eval qase inspect` shows what was. Where it does not, history is all that tells its cases apart.",
        source="`constant` and `default_rates` of preprocessing.json; a warning above half of the features",
        certainty=0.95,
        data={"constant": constant, "features": len(features), "default": default},
    )


def _read(file: Path, missing: list[str]) -> dict[str, Any]:
    """What the file says; where it cannot be read, nothing, and `missing` is told why."""
    from rl_eval.run import read_json

    try:
        if file.is_symlink():
            raise InputError(f"{file} is a link, which may lead out of the run: put the file itself there")
        return read_json(file)
    except InputError as error:
        if str(error) not in missing:
            missing.append(str(error))
        return {}


def _names(listed: object) -> list[str]:
    return [name[:100] for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
