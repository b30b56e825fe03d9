"""A fake of Qase's REST API on loopback, built from the documented schema, with one project."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

TOKEN = "secret-token-0123456789"
SYSTEM_FIELDS = {
    "status": True,
    "result": [
        {"title": "Severity", "slug": "severity", "default_value": None, "is_required": False, "entity": 0, "options": [
            {"id": 0, "title": "Not set", "slug": "undefined"}, {"id": 2, "title": "Critical", "slug": "critical"},
            {"id": 77, "title": "Catastrophic", "slug": "catastrophic"}]},
        {"title": "Priority", "slug": "priority", "options": [{"id": 1, "title": "High", "slug": "high"}]},
        {"title": "Type", "slug": "type", "options": [{"id": 9, "title": "Functional", "slug": "functional"}]},
        {"title": "Layer", "slug": "layer", "options": [{"id": 5, "title": "API", "slug": "api"}]},
        {"slug": "behavior", "options": [{"id": 3, "title": "Negative", "slug": "negative"}]},
        {"title": "Status", "slug": "status", "options": [{"id": 0, "title": "Actual", "slug": "actual"}]},
        {"slug": "automation", "options": [{"id": 2, "title": "Automated", "slug": "automated"}]},
        {"slug": "result_status", "options": [{"id": 1, "title": "Passed", "slug": "passed"}]},
    ],
}  # fmt: skip
SUITES = [
    {"id": 1, "title": "API", "description": None, "preconditions": None, "position": 1, "cases_count": 0,
     "parent_id": None, "created_at": "2026-01-01T00:00:00+00:00"},
    {"id": 2, "title": "Users", "description": "", "preconditions": "", "cases_count": 1, "parent_id": 1},
]  # fmt: skip
MILESTONES = [{"id": 4, "title": "Release 1", "description": None, "status": "active", "due_date": None}]
CASE = {
    "id": 7, "position": 1, "title": "Create a user", "description": "First\r\nSecond", "preconditions": "A service",
    "postconditions": None, "severity": 2, "priority": 1, "type": 9, "layer": 5, "is_flaky": 1, "behavior": 3,
    "automation": 2, "status": 0, "milestone_id": 4, "suite_id": 2, "steps_type": "classic", "custom_fields": [
        {"id": 8, "value": None}, {"id": 6, "value": "Backend"}], "tags": [{"title": "smoke", "internal_id": 1}],
    "params": [], "parameters": [{"shared_id": None, "type": "single", "item": {"title": "role",
        "values": ["admin", "guest"]}}], "links": "", "member_id": 3, "project_id": 1, "attachments": [],
    "steps": [
        {"hash": "h1", "shared_step_hash": None, "position": 1, "action": "POST /users", "expected_result": "201",
         "data": '{"name": "a"}', "attachments": [], "steps": []},
        {"hash": "h2", "position": 2, "action": "GET /users/1", "expected_result": "200", "data": "", "steps": None},
    ],
}  # fmt: skip
RESULTS = [
    {"hash": f"r{i}", "run_id": 10 + i // 2, "case_id": 7, "status": ["passed", "failed", "blocked", "retest"][i],
     "time_spent_ms": 100 * i, "comment": None, "end_time": "2026-01-01 00:00:00"}
    for i in range(4)
]  # fmt: skip
EXPORT = {
    "suites": [{"id": 1, "title": "API", "description": None, "preconditions": None, "cases": None, "suites": [
        {"id": 2, "title": "Users", "description": "", "preconditions": "", "suites": None, "cases": [{
            "id": 7, "title": "Create a user", "description": "First\nSecond", "preconditions": "A service",
            "postconditions": "", "priority": "high", "severity": "critical", "type": "functional",
            "behavior": "negative", "automation": "automated", "status": "actual", "is_flaky": "yes", "layer": "api",
            "milestone": "Release 1", "custom_fields": [{"id": 6, "value": "Backend"}], "steps_type": "classic",
            "steps": [
                {"action": "POST /users", "expected_result": "201", "data": '{"name": "a"}', "steps": []},
                {"position": 2, "action": "GET /users/1", "expected_result": "200", "data": None, "steps": None}],
            "tags": ["smoke"], "params": [{"title": "role", "values": ["admin", "guest"]}], "is_muted": False}]}]}],
}  # fmt: skip
HEADER = (
    "title,description,preconditions,postconditions,tags,priority,severity,type,behavior,automation,status,is_flaky,"
    "layer,steps_type,steps_actions,steps_result,steps_data,milestone_id,milestone,suite_id,suite_parent_id,suite,"
    "suite_without_cases,parameters,is_muted,cf_6,cf_8"
)
_SUITE_ROWS = ("," * 20 + "1,,API,1\n", "," * 20 + "2,1,Users,1\n")
_START = (
    '7,Create a user,"First\nSecond",A service,,smoke,high,critical,functional,negative,automated,actual,'
    "yes,api,classic,"
)
_END = ',4,Release 1,2,1,Users,,"role:admin\nrole:guest",no,Backend,\n'
V1 = (
    f"id,{HEADER}\n{''.join(_SUITE_ROWS)}{_START}"
    '"1. POST /users\n2. GET /users/1\n","1. 201\n2. 200\n","1. {""name"": ""a""}\n2. \n"' + _END
)
V2 = (
    f"v2.id,{HEADER}\n{''.join(_SUITE_ROWS)}{_START}"
    '"1. ""POST \\/users""\n2. ""GET \\/users\\/1""\n","1. ""201""\n2. ""200""\n",'
    '"1. ""{\\""name\\"": \\""a\\""}""\n2. """"\n"' + _END
)


class StandIn:
    """What it serves, what it was asked and sent, and what it answers instead, once each: (status, headers, body)."""

    def __init__(self):
        self.lists = {"case/DEMO": [CASE], "suite/DEMO": SUITES, "milestone/DEMO": MILESTONES, "result/DEMO": RESULTS}
        self.asked = []
        self.sent = []  # (path, token, JSON) of every POST
        self.instead = []
        self.url = ""

    def page(self, path, query):
        """The answer to one request, as the schema documents it."""
        if path == "system_field":
            return SYSTEM_FIELDS
        limit, offset = int(query.get("limit", ["10"])[0]), int(query.get("offset", ["0"])[0])
        stored = self.lists[path]
        entities = stored[offset : offset + min(limit, 100)]
        return {
            "status": True,
            "result": {"total": len(stored), "filtered": len(stored), "count": len(entities), "entities": entities},
        }


@contextmanager
def serving():
    """A stand-in that answers on a port of its own."""
    stand_in = StandIn()

    class ApiHandler(BaseHTTPRequestHandler):
        def do_GET(self):
            url = urlsplit(self.path)
            stand_in.asked.append((self.path, dict(self.headers)))
            path = url.path.removeprefix("/v1/")
            if stand_in.instead:
                status, headers, body = stand_in.instead.pop(0)
            elif self.headers.get("Token") != TOKEN:
                status, headers, body = 401, {}, json.dumps({"error": f"bad token {self.headers.get('Token')}"})
            elif path != "system_field" and path not in stand_in.lists:
                status, headers, body = 404, {}, "{}"
            else:
                status, headers, body = 200, {}, json.dumps(stand_in.page(path, parse_qs(url.query)))
            data = body if isinstance(body, bytes) else body.encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stand_in.sent.append((self.path, self.headers.get("Token"), body))
            if stand_in.instead:
                status, headers, answer = stand_in.instead.pop(0)
            elif self.headers.get("Token") != TOKEN:
                status, headers, answer = 401, {}, {"error": f"bad token {self.headers.get('Token')}"}
            elif not body.get("title") or not isinstance(body.get("cases"), list):
                status, headers, answer = 422, {}, {"status": False, "errorMessage": "Data is invalid."}
            else:
                status, headers, answer = 200, {}, {"status": True, "result": {"id": 40 + len(stand_in.sent)}}
            if status is None:
                return  # hangs up
            data = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
