"""The test cases of the service, read from a Qase export."""

from __future__ import annotations

from pathlib import Path

from rl_eval.domains.qase.formats.json_export import read_json_export
from rl_eval.domains.qase.formats.values import parse_json, read_bytes
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Project

PATH = Path(__file__).with_name("cases.json")


def project() -> Project:
    """The project of the embedded service: 129 cases in suites by component."""
    return read_json_export(parse_json(read_bytes(PATH), PATH.name), PATH.name, Notes())
