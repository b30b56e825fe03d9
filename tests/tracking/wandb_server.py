"""A fake W&B server that accepts runs, and can be made to fail."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WandbServer:
    """Listens on a free local port; use as a context manager.

    Args:
        refuse: answer every request with this HTTP status.
        hang_after: stop answering once this word has been in a request.
        runs: those of every project, each with `name`, `config`, `summary`, `state` and `history` (its rows).
    """

    def __init__(self, refuse: int | None = None, hang_after: str | None = None, runs: list[dict] | None = None):
        self._runs = runs or []
        self.requests: list[tuple[str, str]] = []
        self.unanswered: list[str] = []
        hanging, released = threading.Event(), threading.Event()
        if hang_after == "":
            hanging.set()
        outer = self

        class WandbHandler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode("utf-8", "replace")
                if hanging.is_set():
                    outer.unanswered.append(self.path)
                    released.wait()
                    return
                outer.requests.append((self.path, body))
                answer = json.dumps(outer.answer(self.path, body)).encode()
                self.send_response(refuse or 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
                if hang_after and hang_after in body:
                    hanging.set()

            do_GET = do_PUT = do_POST  # noqa: N815

            def log_message(self, *args):
                pass

        self._released = released
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), WandbHandler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, body: str) -> dict:
        if path != "/graphql":
            return {}
        request = json.loads(body)
        if "UpsertBucket" in request["query"]:
            variables = request["variables"]
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "team"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": variables["displayName"], "project": project}
            return {"data": {"upsertBucket": {"inserted": True, "bucket": {**bucket, "historyLineCount": 0}}}}
        if "CreateRunFiles" in request["query"]:
            return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}}}
        if "viewer {" in request["query"]:
            who = {"id": "v", "entity": "team", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}
            return {"data": {"viewer": who}}
        if "query Runs(" in request["query"]:
            return {"data": {"project": self._page(json.loads(request["variables"]["filters"]))}}
        if "sampledHistory" in request["query"]:
            return {"data": {"project": {"run": {"sampledHistory": [self._history(request["variables"])]}}}}
        return {"data": {}}

    def _page(self, filters: dict) -> dict:
        """All runs of a group in one page, as W&B's public API asks for them."""
        nothing = ("sweepName", "jobType", "commit", "description", "notes", "historyKeys")
        matching = [run for run in self._runs if filters.get("group", run.get("group")) == run.get("group")]
        nodes = [
            {
                **dict.fromkeys(nothing),
                "projectId": "1",
                "id": f"id-{run['name']}",
                "tags": [],
                "name": run["name"],
                "displayName": run["name"],
                "state": run["state"],
                "config": json.dumps({key: {"value": value} for key, value in run["config"].items()}),
                "summaryMetrics": json.dumps(run["summary"]),
                "systemMetrics": "{}",
                "group": run.get("group"),
                "readOnly": False,
                "createdAt": "2026-01-01T00:00:00Z",
                "heartbeatAt": "2026-01-01T00:00:00Z",
                "historyLineCount": len(run["history"]),
                "user": {"name": "me", "username": "me"},
            }
            for run in matching
        ]
        edges = [{"node": node, "cursor": str(at)} for at, node in enumerate(nodes)]
        page = {"edges": edges, "pageInfo": {"endCursor": None, "hasNextPage": False}}
        return {"internalId": "1", "runCount": len(nodes), "readOnly": False, "runs": page}

    def _history(self, variables: dict) -> list[dict]:
        """The rows of a run that have all of the keys."""
        keys = json.loads(variables["specs"][0])["keys"]
        rows = next(run["history"] for run in self._runs if run["name"] == variables["name"])
        rows = [{"_step": at, **row} for at, row in enumerate(rows)]
        return [{key: row[key] for key in keys} for row in rows if all(key in row for key in keys)]

    def variables(self, query: str) -> list[dict]:
        """The variables of each GraphQL request of this name."""
        requests = [json.loads(body) for path, body in self.requests if path == "/graphql"]
        return [request["variables"] for request in requests if query in request["query"]]

    def streamed(self, file: str) -> list[dict]:
        """The JSON lines sent for one of the run's files."""
        bodies = [json.loads(body) for path, body in self.requests if path.endswith("/file_stream")]
        lines = [line for body in bodies for line in (body.get("files") or {}).get(file, {}).get("content", [])]
        return [json.loads(line) for line in lines]

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
