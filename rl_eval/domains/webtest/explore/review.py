"""`rl-eval webtest review`: the report on loopback, with judgements of its failures kept in `judgements.json`."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from rl_eval.domains.webtest.explore.reporting import REPORT
from rl_eval.domains.webtest.judgements import FILE, add_judgement, read_judgements
from rl_eval.errors import InputError
from rl_eval.net import LOOPBACK
from rl_eval.run import read_json

_TYPES = {".html": "text/html; charset=utf-8", ".png": "image/png", ".py": "text/plain; charset=utf-8"}
_MOST_BYTES = 10_000


def server_of(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server of a report on loopback; `serve_forever` runs it.

    `GET /feedback` gives the judgements, `POST /feedback` takes `{"site": …, "judgement": "keep" | "dismiss"}`.

    Raises:
        InputError: the folder holds no report, or the port is not free.
    """
    if not (folder / REPORT).is_file():
        raise InputError(f"{folder} has no report: give the folder that `rl-eval webtest explore --out` wrote")
    report = read_json(folder / REPORT)
    sites = {f"{failure['kind']} {failure['site']}" for failure in report["failures"]}
    files = {"": "report.html", "report.html": "report.html"}
    for failure in [*report["failures"], *report["not_tried"]]:
        files.update({name: name for name in (failure["script_file"], failure["picture"]) if name})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.partition("?")[0].lstrip("/")
            if not self._local():
                self._send(403, b"", "text/plain")
            elif name == "feedback":
                judgements = read_judgements(folder / FILE) if (folder / FILE).exists() else {}
                self._send(200, json.dumps(judgements).encode(), "application/json")
            elif name in files and "/" not in files[name]:
                content = (folder / files[name]).read_bytes()
                self._send(200, content, _TYPES[Path(files[name]).suffix])
            else:
                self._send(404, b"", "text/plain")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            # Another page of the same browser cannot send JSON here without asking first, and is refused then.
            is_json = self.headers.get("Content-Type", "") == "application/json"
            if not self._local() or self.path != "/feedback" or not is_json or length > _MOST_BYTES:
                self._send(403, b"", "text/plain")
                return
            try:
                asked = json.loads(self.rfile.read(length))
                site, judgement = asked["site"], asked["judgement"]
            except (ValueError, KeyError, TypeError):
                site = judgement = None
            if site not in sites or judgement not in ("keep", "dismiss"):
                self._send(422, b"", "text/plain")
                return
            add_judgement(folder / FILE, site, judgement)
            self._send(204, b"", "text/plain")

        def _local(self) -> bool:
            return self.headers.get("Host", "").rpartition(":")[0] in (LOOPBACK, "localhost")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise InputError(f"--port {port} cannot be used ({error.strerror}): give another one") from error
