"""Requests to Qase's REST API with the token of `QASE_API_TOKEN`; a project and its results, page by page.

The token goes into one header and nowhere else: no message shows it, and no redirect is followed with it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from rl_eval.domains.qase.environment_variables import API_URL, TOKEN, read_variable
from rl_eval.domains.qase.formats.enumerations import read_options
from rl_eval.domains.qase.formats.rest_pages import Entity, Pages, collect_results, page_entities, project_from_pages
from rl_eval.domains.qase.formats.values import parse_json
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.model.results import ResultsCollector
from rl_eval.errors import InputError
from rl_eval.net import AddressError, Client, Limits, RequestError, Response, parse_base_url

URL = "https://api.qase.io/v1"
PAGE = 100  # the most that the API gives at once
ATTEMPTS = 6
LIMITS = Limits(total_s=120.0, wait_s=30.0, max_bytes=64 << 20)
LONGEST_WAIT_S = 60.0  # between two attempts
MAX_ENTITIES = 2_000_000
_CODE = re.compile(r"[A-Za-z0-9]{1,20}")


@dataclass(frozen=True)
class Connection:
    """The client of one API, the token, and how to wait between attempts (seconds)."""

    client: Client = field(repr=False)
    token: str = field(repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


def api_url() -> str:
    """The URL of the API: `QASE_API_URL` of the environment for your own Qase, else that of qase.io.

    `.env` cannot set it: else a checkout could send the token to any server.
    """
    return os.environ.get(API_URL) or URL


def connect(url: str | None = None, sleep: Callable[[float], None] = time.sleep) -> Connection:
    """A connection with the token of the environment; nothing is sent yet.

    Args:
        url: of the API; None: `api_url`.

    Raises:
        InputError: no token, or a URL that the token must not be sent to.
    """
    token = read_variable(TOKEN)
    if not token:
        raise InputError(f"no token for Qase: set {TOKEN} in the environment or in .env")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(f"{TOKEN} has characters that a token cannot have: copy it again")
    try:
        base_url = parse_base_url(api_url() if url is None else url)
        if base_url.scheme == "http" and not base_url.is_loopback:
            raise AddressError("would send the token unencrypted")
        client = Client(base_url, LIMITS, trust_env=not base_url.is_loopback)
    except AddressError as error:
        raise InputError(f"the URL of Qase {error}: give {URL}") from error
    return Connection(client, token, sleep)


def fetch_project(connection: Connection, code: str, notes: Notes) -> Project:
    """A project with its suites, cases and the workspace's enumerations.

    Raises:
        InputError: Qase cannot be reached, the token is refused, a response is not of the documented form.
    """
    where = f"rest:{checked_code(code)}"
    pages = Pages(
        options=read_options(_get(connection, "system_field", {}), f"{where}, system_field"),
        suites=_get_all(connection, f"suite/{code}"),
        milestones=_get_all(connection, f"milestone/{code}"),
        cases=_get_all(connection, f"case/{code}"),
    )
    return project_from_pages(pages, where, notes)


def fetch_results(connection: Connection, code: str, results: ResultsCollector) -> None:
    """The results of all runs of a project.

    Raises:
        InputError: as `fetch_project`.
    """
    collect_results(Pages(results=_get_all(connection, f"result/{checked_code(code)}")), code, results)


def checked_code(code: str) -> str:
    """The code of a project.

    Raises:
        InputError: it is not valid.
    """
    if not _CODE.fullmatch(code):
        raise InputError(
            f"{code[:40]!r} is not a project code: give the letters in front of its case ids, such as DEMO"
        )
    return code


def _get_all(connection: Connection, path: str) -> list[Entity]:
    """All entities of a list, page by page."""
    all_entities: list[Entity] = []
    keys: set[str] = set()
    while True:
        response = _get(connection, path, {"limit": PAGE, "offset": len(all_entities)})
        page, total = page_entities(response, f"{path}, offset {len(all_entities)}")
        for where, entity in page:
            key = entity.get("id", entity.get("hash"))
            if key is not None and str(key) in keys:
                raise InputError(
                    f"{where}: {str(key)[:40]!r} was on an earlier page: the project has changed, try again"
                )
            keys.add(str(key))
        all_entities += page
        if total > MAX_ENTITIES:
            raise InputError(f"{path} has {total} entities and at most {MAX_ENTITIES} are read: export a part of them")
        if len(all_entities) >= total:
            return all_entities
        if not page:
            raise InputError(f"{path} says it has {total} entities and returned {len(all_entities)}: try again")


def _get(connection: Connection, path: str, query: dict[str, int]) -> Any:
    """The JSON of one response; tried again after 429, 5xx and network failures, each time after a longer wait."""
    problem = ""
    for attempt in range(ATTEMPTS):
        wait_s = min(0.5 * 2**attempt, LONGEST_WAIT_S)
        try:
            response = _request(connection, path, query)
        except RequestError as error:
            if error.kind not in ("unreachable", "timeout"):
                raise InputError(f"Qase: {error}: export to a file, or try later") from error
            problem = f"cannot be reached ({error.reason})"
        else:
            status = response.status
            if status == 200:
                return parse_json(response.content, f"the response of {path}")
            if status != 429 and status < 500:
                raise InputError(f"Qase answered {path} with status {status}: {advice(status)}")
            problem = f"answered {path} with status {status}"
            retry_after = response.headers.get("retry-after", "")
            if retry_after.isascii() and retry_after.isdigit():
                wait_s = min(float(retry_after[:6]), LONGEST_WAIT_S)
        if attempt + 1 < ATTEMPTS:
            connection.sleep(wait_s)
    raise InputError(f"Qase {problem}, {ATTEMPTS} times: try later")


def _request(connection: Connection, path: str, query: dict[str, int]) -> Response:
    headers = [("Token", connection.token), ("Accept", "application/json")]
    return connection.client.request("GET", f"/{path}{'?' if query else ''}{urlencode(query)}", headers)


def post(connection: Connection, path: str, body: bytes) -> Response:
    """Send JSON once; returns the response, with any status.

    Raises:
        RequestError: there is no complete response.
    """
    headers = [("Token", connection.token), ("Accept", "application/json")]
    return connection.client.request("POST", f"/{path}", headers, body)


def advice(status: int) -> str:
    """What to do after a response with an error."""
    if status in (401, 403):
        return f"the token in {TOKEN} is refused, make one that may read the project"
    if status == 404:
        return "name the code of a project that the token may see"
    if 300 <= status < 400:
        return "a redirect, which is not followed: give the URL of the API itself"
    return "look the status up in Qase's documentation"
