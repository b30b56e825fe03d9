"""Create a test run over Qase's REST API: `POST /v1/run/{code}`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rl_eval.domains.qase.formats.rest_client import Connection, advice, checked_code, post
from rl_eval.domains.qase.formats.values import parse_json, read_id, read_object
from rl_eval.domains.qase.model.project import short_repr
from rl_eval.errors import InputError
from rl_eval.net import RequestError

__all__ = ["NewRun", "checked_code", "send_run"]

MAX_TITLE = 255


@dataclass(frozen=True)
class NewRun:
    """A run to create; `cases` are ids, in the order to run."""

    title: str
    description: str
    cases: tuple[int, ...]

    def to_json(self) -> bytes:
        """The body of the request."""
        values = {
            "title": self.title[:MAX_TITLE],
            "description": self.description,
            "include_all_cases": False,
            "cases": list(self.cases),
        }
        return json.dumps(values, ensure_ascii=False).encode()


def send_run(connection: Connection, code: str, run: NewRun) -> int:
    """Create a run; returns its id.

    The request is sent once: a second one after a lost response would create a second run.

    Raises:
        InputError: Qase cannot be reached, refuses the token or the run, or its response has no id.
    """
    where = f"run/{checked_code(code)}"
    try:
        response = post(connection, where, run.to_json())
    except RequestError as error:
        raise InputError(
            f"Qase did not answer ({error.reason}), and the run may exist: look at the runs of {code} first"
        ) from error
    at = f"the response of {where}"
    if response.status not in (200, 201):
        raise InputError(
            f"Qase answered {where} with status {response.status}{_message(response.content)}: "
            f"{advice(response.status)}"
        )
    result = read_object(read_object(parse_json(response.content, at), at).get("result"), f"{at}, result")
    key = read_id(result.get("id"), f"{at}, result.id")
    if key is None:
        raise InputError(f"{at} has no id of a run: look at the runs of {code}")
    return key


def _message(content: bytes) -> str:
    """What Qase says is wrong, after a comma; empty where it says nothing."""
    try:
        values = json.loads(content)
    except ValueError:
        return ""
    message = values.get("errorMessage") if isinstance(values, dict) else None
    return f", {short_repr(message, 200)}" if isinstance(message, str) and message else ""
