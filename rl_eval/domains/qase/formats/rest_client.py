"""A project and its results from Qase itself: `GET` requests with the token of `QASE_API_TOKEN`, page by page.

The token goes into one header and nowhere else: no message shows it, and no redirect is followed with it.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rl_eval.domains.qase.environment_variables import TOKEN, setting
from rl_eval.domains.qase.formats.enumerations import read_options
from rl_eval.domains.qase.formats.rest_pages import Entity, Pages, assemble, collect, entities
from rl_eval.domains.qase.formats.values import parse_json
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Project
from rl_eval.domains.qase.model.results import Collecting
from rl_eval.errors import InputError

if TYPE_CHECKING:
    import httpx

URL = "https://api.qase.io/v1"
PAGE = 100  # the most that the API gives at once
ATTEMPTS = 6
TIMEOUT = 30.0  # seconds for connecting, and for each part of an answer
DEADLINE = 120.0  # seconds for a whole answer
LONGEST_WAIT = 60.0  # seconds between two attempts
MAX_BYTES = 64 << 20  # of one answer
MAX_ENTITIES = 2_000_000
_CODE = re.compile(r"[A-Za-z0-9]{1,20}")


@dataclass(frozen=True)
class Connection:
    """Where to ask, and how to wait between attempts (seconds)."""

    client: httpx.Client = field(repr=False)
    url: str
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)


def connect(url: str = URL, sleep: Callable[[float], None] = time.sleep) -> Connection:
    """A connection with the token of the environment; nothing is asked yet.

    Raises:
        InputError: no token, or a URL that the token must not be sent to.
    """
    import httpx

    token = setting(TOKEN)
    if not token:
        raise InputError(f"no token for Qase: set {TOKEN} in the environment or in .env")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(f"{TOKEN} holds characters that no token has: copy it again")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"the URL of Qase cannot be read ({error}): give {URL}") from error
    here = _is_loopback(parsed.host)
    if parsed.userinfo or parsed.scheme not in ("http", "https") or not parsed.host:
        raise InputError(f"the URL of Qase needs a host and no password: give {URL}")
    if parsed.scheme == "http" and not here:
        raise InputError(f"http://{parsed.host} would send the token unencrypted: give an https URL")
    client = httpx.Client(
        headers={"Token": token, "Accept": "application/json"}, timeout=TIMEOUT, follow_redirects=False,
        trust_env=not here,
    )  # fmt: skip
    return Connection(client, str(parsed.copy_with(query=None, fragment=None)).rstrip("/"), sleep)


def fetch_project(connection: Connection, code: str, notes: Notes) -> Project:
    """A project with its suites, cases and the workspace's enumerations.

    Raises:
        InputError: it cannot be reached, the token is refused, an answer is not of the documented form.
    """
    where = f"rest:{_checked(code)}"
    pages = Pages(
        options=read_options(_get(connection, "system_field", {}), f"{where}, system_field"),
        suites=_all(connection, f"suite/{code}"),
        milestones=_all(connection, f"milestone/{code}"),
        cases=_all(connection, f"case/{code}"),
    )
    return assemble(pages, where, notes)


def fetch_results(connection: Connection, code: str, into: Collecting) -> None:
    """The results of all runs of a project.

    Raises:
        InputError: as `fetch_project`.
    """
    collect(Pages(results=_all(connection, f"result/{_checked(code)}")), code, into)


def _checked(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise InputError(f"rest:{code[:40]!r} is no project code: give the letters that its case ids begin with")
    return code


def _all(connection: Connection, path: str) -> list[Entity]:
    """Every entity of a list, each once."""
    found: list[Entity] = []
    seen: set[Any] = set()
    while True:
        response = _get(connection, path, {"limit": PAGE, "offset": len(found)})
        page, total = entities(response, f"{path}, offset {len(found)}")
        for at, entity in page:
            key = entity.get("id", entity.get("hash"))
            if key is not None and str(key) in seen:
                raise InputError(f"{at}: {str(key)[:40]!r} was on an earlier page: the project was changed, ask again")
            seen.add(str(key))
        found += page
        if total > MAX_ENTITIES:
            raise InputError(f"{path} has {total} entities and at most {MAX_ENTITIES} are read: export a part of them")
        if len(found) >= total:
            return found
        if not page:
            raise InputError(f"{path} says it has {total} entities and gave {len(found)}: ask again")


def _get(connection: Connection, path: str, query: dict[str, int]) -> Any:
    """One answer, asked for again after 429, 5xx and failures of the network, each time after a longer wait."""
    import httpx

    problem = ""
    for attempt in range(ATTEMPTS):
        wait = min(0.5 * 2**attempt, LONGEST_WAIT)
        try:
            status, headers, body = _ask(connection, path, query)
        except httpx.HTTPError as error:
            problem = f"cannot be reached ({type(error).__name__})"
        else:
            if status == 200:
                return parse_json(body, f"the answer of {path}")
            if status != 429 and status < 500:
                raise InputError(f"Qase answered {path} with status {status}: {_advice(status)}")
            problem = f"answered {path} with status {status}"
            asked = headers.get("Retry-After", "")
            if asked.isascii() and asked.isdigit():
                wait = min(float(asked[:6]), LONGEST_WAIT)
        if attempt + 1 < ATTEMPTS:
            connection.sleep(wait)
    raise InputError(f"Qase {problem}, {ATTEMPTS} times: try later")


def _ask(connection: Connection, path: str, query: dict[str, int]) -> tuple[int, Any, bytes]:
    until = time.monotonic() + DEADLINE
    with connection.client.stream("GET", f"{connection.url}/{path}", params=query) as response:
        body = bytearray()
        if response.status_code == 200:  # what else an answer holds is not read, and so never shown
            for part in response.iter_bytes(1 << 16):
                body += part
                if len(body) > MAX_BYTES:
                    raise InputError(f"Qase answered {path} with more than {MAX_BYTES >> 20} MiB: export to a file")
                if time.monotonic() > until:
                    raise InputError(f"Qase took more than {DEADLINE:g} s to answer {path}: try later")
        return response.status_code, response.headers, bytes(body)


def _advice(status: int) -> str:
    if status in (401, 403):
        return f"the token in {TOKEN} is refused, make one that may read the project"
    if status == 404:
        return "name the code of a project that the token may see"
    if 300 <= status < 400:
        return "a redirect, which is not followed: give the URL of the API itself"
    return "look the status up in Qase's documentation"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
