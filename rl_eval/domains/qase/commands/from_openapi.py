"""`rl-eval qase from-openapi`: test cases from an OpenAPI description, as an export that Qase and this product read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rl_eval.domains.qase.formats.csv_export import write_csv_export
from rl_eval.domains.qase.formats.json_export import write_json_export
from rl_eval.domains.qase.live.calls import NotRunnable, parse_case
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.openapi.cases import NO_TOKEN, GeneratedCases, SignIn, generate
from rl_eval.domains.qase.openapi.document import Document
from rl_eval.errors import InputError
from rl_eval.formatting import quantity
from rl_eval.override_text import shell_word
from rl_eval.run import write_text

_KINDS = ("valid", "of a wrong type", "without authorisation", "with a missing field")
_TRAIN = "python train.py env=qase env.mode=live env.data=qase"
SHOWN = 5  # operations without cases, of each reason


def from_openapi(spec: Path, out: Path, sign_in: SignIn | None) -> Iterator[str]:
    """Write the cases; returns lines that say what was made.

    Raises:
        InputError: a description that cannot be read, an output that is neither JSON nor CSV, or a file that cannot be
            written.
    """
    if out.suffix not in (".json", ".csv"):
        raise InputError(f"--out {out} is neither .json nor .csv: Qase imports only these; name such a file")
    if out.resolve() == spec.resolve():
        raise InputError(f"--out {out} would overwrite the description: give another file")
    generated = generate(Document(spec), sign_in)
    try:
        write_text(out, _export(generated.project, out))
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}): name another file with --out") from error
    yield from _summary(generated, out)


def _export(project: Project, out: Path) -> str:
    if out.suffix == ".csv":
        return write_csv_export(project, 1)
    return json.dumps(write_json_export(project), indent=1, ensure_ascii=False) + "\n"


def _summary(generated: GeneratedCases, out: Path) -> Iterator[str]:
    cases = generated.project.cases
    plans = [parse_case(case) for case in cases]
    broken = [plan.reason for plan in plans if isinstance(plan, NotRunnable)]
    counted = Counter(_kind(case.title) for case in cases)
    kinds = ", ".join(f"{counted[kind]} {kind}" for kind in _KINDS)
    yield f"cases        {len(cases)} in {quantity(len(generated.project.suites), 'suite')}: {kinds}"
    yield f"runnable     {len(cases) - len(broken)} of {len(cases)} over HTTP"
    for reason in list(dict.fromkeys(broken))[:SHOWN]:
        yield f"             {reason}"
    for reason, operations in generated.left_out.items():
        more = f" and {len(operations) - SHOWN} more" if len(operations) > SHOWN else ""
        yield f"left out     {', '.join(operations[:SHOWN])}{more}: {reason}"
    if any(case.parameters for case in cases):
        what = f"cases with authorisation have a parameter `token` with the value {NO_TOKEN}"
        yield f"token        {what}: set it, or give --sign-in"
    yield f"written      {out}"
    yield "import       in Qase"
    command = f"{_TRAIN} env.path={shell_word(str(out))} env.base_url=URL"
    yield f"train live   sends each request hundreds of times: {command}"


def _kind(title: str) -> str:
    ending = title.rpartition(": ")[2]
    return next((kind for kind in _KINDS[:3] if ending.endswith(kind)), _KINDS[3])
