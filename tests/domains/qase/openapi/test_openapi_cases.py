"""Cases from an OpenAPI description: which there are, that Qase's formats hold them, and that they run."""

import json

import pytest
import yaml
from fastapi import FastAPI

from rl_eval.cli import main
from rl_eval.domains.qase.formats.load import load
from rl_eval.domains.qase.live import FAILED, PASSED, Runner, run_cycle
from rl_eval.domains.qase.live.calls import CallPlan, parse_case
from rl_eval.domains.qase.openapi import cases as cases_module
from rl_eval.domains.qase.openapi import document as document_module
from rl_eval.domains.qase.openapi.cases import SignIn, generate
from rl_eval.domains.qase.openapi.document import Document
from rl_eval.domains.qase.service import start
from rl_eval.domains.qase.service.routes import router
from rl_eval.errors import InputError

BEARER = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
USER = {
    "type": "object",
    "required": ["email", "age"],
    "properties": {"email": {"type": "string"}, "age": {"type": "integer"}, "note": {}},
}
API = {
    "openapi": "3.0.3",
    "components": {**BEARER, "schemas": {"User": USER}},
    "paths": {
        "/users/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "put": {
                "operationId": "putUser", "summary": "Change a user", "tags": ["Users"],
                "security": [{"bearer": []}],
                "parameters": [{"name": "X-Trace", "in": "header", "required": True, "schema": {"example": "t 1"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}}},
                "responses": {"204": {}, "201": {}, "422": {}, "401": {}, "403": {}},
            },
        },
        "/search": {
            "get": {
                "parameters": [{"name": "q", "in": "query", "required": True, "schema": {"example": "desk & lamp"}}],
                "responses": {200: {}},
            }
        },
        "/upload": {"post": {"requestBody": {"required": True, "content": {"image/png": {}}}, "responses": {}}},
    },
}  # fmt: skip
SIGN_IN = '{"email": "ann@shop.example", "password": "ann-secret"}'
BODY = '{"email": "text", "age": 1}'


def written(tmp_path, description, name="api.json"):
    path = tmp_path / name
    path.write_text(json.dumps(description))
    return path


def steps(case):
    return [(step.action, step.data, step.expected_result) for step in case.steps]


def test_every_way_to_call_an_operation_is_a_case_worked_by_hand(tmp_path):
    generated = generate(Document(written(tmp_path, API)))
    cases = {case.title: case for case in generated.project.cases}
    head = "X-Trace: t 1\nAuthorization: Bearer {{token}}\n\n"
    put = "PUT /users/{id}: "
    assert {title: steps(case) for title, case in cases.items()} == {
        f"{put}valid": [("PUT /users/1", head + BODY, "201")],
        f"{put}without email": [("PUT /users/1", head + '{"age": 1}', "422")],
        f"{put}without age": [("PUT /users/1", head + '{"email": "text"}', "422")],
        f"{put}email of a wrong type": [("PUT /users/1", head + '{"email": {"wrong": "type"}, "age": 1}', "422")],
        f"{put}age of a wrong type": [("PUT /users/1", head + '{"email": "text", "age": "wrong type"}', "422")],
        f"{put}id of a wrong type": [("PUT /users/text", head + BODY, "422")],
        f"{put}without authorisation": [("PUT /users/1", f"X-Trace: t 1\n\n{BODY}", "4xx")],  # two are declared
        "GET /search: valid": [("GET /search?q=desk%20%26%20lamp", "", "200")],
        "GET /search: without q": [("GET /search", "", "4xx")],
    }
    assert generated.left_out == {"the body is 'image/png', not application/json": ["POST /upload"]}
    valid = cases[f"{put}valid"]
    assert generated.project.suite_paths[valid.suite_id] == ("Users",)
    assert "putUser" in valid.tags
    assert "PUT /users/{id}, putUser" in valid.description
    assert [parameter.values for parameter in valid.parameters] == [("TOKEN",)]
    assert cases[f"{put}without authorisation"].type == "security"
    assert {case.behavior for title, case in cases.items() if not title.endswith(": valid")} == {"negative"}
    assert all(isinstance(parse_case(case), CallPlan) for case in cases.values())


@pytest.mark.parametrize(
    ("scheme", "action", "header"),
    [
        ({"type": "apiKey", "in": "header", "name": "X-Key"}, "GET /me", "X-Key: {{token}}"),
        ({"type": "apiKey", "in": "query", "name": "key"}, "GET /me?key={{token}}", ""),
        ({"type": "apiKey", "in": "cookie", "name": "sid"}, "GET /me", "Cookie: sid={{token}}"),
        ({"type": "http", "scheme": "basic"}, "GET /me", "Authorization: Basic {{token}}"),
        ({"type": "oauth2", "flows": {}}, "GET /me", "Authorization: Bearer {{token}}"),
    ],
)
def test_each_kind_of_authorisation(tmp_path, scheme, action, header):
    api = {
        "openapi": "3.1.0", "security": [{"s": []}], "components": {"securitySchemes": {"s": scheme}},
        "paths": {"/me": {"get": {"responses": {"401": {}}}}, "/open": {"get": {"security": [], "responses": {}}}},
    }  # fmt: skip
    sign_in = SignIn("POST /login", '{"user": "qa"}', "body.access")
    cases = generate(Document(written(tmp_path, api)), sign_in).project.cases
    assert steps(cases[0]) == [
        ("POST /login", '{"user": "qa"}', "2xx, save body.access as token"), (action, header, "2xx")
    ]  # fmt: skip
    assert steps(cases[1]) == [("GET /me", "", "401")]
    assert [case.title for case in cases[2:]] == ["GET /open: valid"]


@pytest.mark.parametrize("name", ["cases.json", "cases.csv"])
def test_the_export_is_read_back_as_the_same_cases(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "api.yaml").write_text(yaml.safe_dump(API, sort_keys=False))
    assert main(["qase", "from-openapi", "api.yaml", "--out", name]) == 0
    printed = capsys.readouterr().out
    assert "9 in 2 suites: 2 valid, 3 of a wrong type, 1 without authorisation, 3 with a missing field" in printed
    assert "9 of 9 over HTTP" in printed
    assert "POST /upload: the body is 'image/png'" in printed
    assert load(name).project == generate(Document(written(tmp_path, API))).project


def test_the_cases_of_a_service_run_against_it(tmp_path):
    shop = FastAPI(title="Shop")
    shop.include_router(router)
    api = shop.openapi()
    api["components"] |= BEARER
    for path, status in (("/me", "401"), ("/cart", "401")):
        api["paths"][path]["get"] |= {"security": [{"bearer": []}]}
        api["paths"][path]["get"]["responses"][status] = {"description": "no token"}
    api["paths"]["/health"]["get"]["responses"] = {"204": {"description": "not what it answers"}}
    sign_in = SignIn("POST /login", SIGN_IN)
    cases = generate(Document(written(tmp_path, api)), sign_in).project.cases
    # Other valid cases need a user or an order, which the description does not mention.
    chosen = [
        case
        for case in cases
        if not case.title.endswith(": valid")
        or case.title in ("GET /me: valid", "GET /cart: valid", "GET /health: valid")
    ]
    with start() as service, Runner(service.base_url, truth_token=service.token) as runner:
        cycle = run_cycle(runner, service, chosen, order=range(len(chosen)), budget_ms=1e9)
    failed = [case.title for case, status in zip(chosen, cycle.status, strict=True) if status == FAILED]
    assert failed == ["GET /health: valid"]
    assert (cycle.status == PASSED).sum() == len(chosen) - 1 > 40
    assert {"GET /me: without authorisation", "GET /me: valid"} <= {case.title for case in chosen}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"openapi": None, "swagger": "2.0"}, "not supported: .* has Swagger 2.0"),
        ({"openapi": "4.0.0"}, "not supported: .* has openapi: '4.0.0'"),
        ({"paths": {"/a": {"$ref": "other.yaml#/a"}}}, "refers to another file"),
        ({"paths": {"/a": {"$ref": "#/paths/~1b"}}}, "which does not exist"),
        ({"paths": {"/a": {"$ref": "#/paths/~1a"}}}, "references in a chain"),
        ({"paths": {"/a": {"get": {"$ref": "a.yml"}}}}, "'/a', get refers to another file"),
        ({"paths": {"/a": {"get": {"$ref": "https://api.example/a.yml"}}}}, "refers to another file"),
        ({"paths": {"/a": {"get": 5}}}, "an object is needed"),
        ({"paths": {"/a": {"get": {"parameters": [{"in": "query"}]}}}}, "a parameter needs 'name' and 'in'"),
        ({"paths": {}}, "no operation that can be called"),
        ({"paths": {"/a": {"get": {"security": [{"x": [], "y": []}]}}}}, r"no operation .* \(GET /a: it needs several"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, change, problem):
    with pytest.raises(InputError, match=problem):
        generate(Document(written(tmp_path, API | change)))


def test_an_incomplete_character_is_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, API | {"paths": {"/a": {"get": {"summary": "\ud800", "responses": {}}}}})
    assert main(["qase", "from-openapi", "api.json"]) == 2
    assert "api.json has an incomplete character" in capsys.readouterr().err


def test_schemas_that_stand_for_billions_of_values_are_left_out(tmp_path):
    levels = {"s8": {"type": "integer"}}
    for i in range(8):
        levels[f"s{i}"] = {"properties": {f"p{j}": {"$ref": f"#/components/schemas/s{i + 1}"} for j in range(20)}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/s0"}}}}
    api = API | {
        "components": {"schemas": levels},
        "paths": {"/a": {"post": {"requestBody": body}}, "/b": {"get": {"responses": {}}}},
    }
    generated = generate(Document(written(tmp_path, api)))
    assert generated.left_out == {"an example of more than 1000 values": ["POST /a"]}
    assert [case.title for case in generated.project.cases] == ["GET /b: valid"]


def test_cases_that_would_fill_the_disk_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cases_module, "MAX_CHARACTERS", 100)
    with pytest.raises(InputError, match="million characters: split it"):
        generate(Document(written(tmp_path, API)))


def test_dates_in_yaml_are_text(tmp_path):
    (tmp_path / "api.yaml").write_text("openapi: 3.1.0\npaths: {}\ninfo: {version: 2024-10-01}\n")
    assert Document(tmp_path / "api.yaml").values["info"] == {"version": "2024-10-01"}


def test_long_yaml_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(document_module, "MAX_YAML_BYTES", 10)
    (tmp_path / "api.yaml").write_text("openapi: 3.1.0\npaths: {}\n")
    with pytest.raises(InputError, match="of YAML: convert it to JSON"):
        Document(tmp_path / "api.yaml")


def test_yaml_that_unfolds_is_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    (tmp_path / "api.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError, match="MiB of values"):
        Document(tmp_path / "api.yaml")


@pytest.mark.parametrize("out", ["cases.txt", "api.json"])
def test_where_the_export_cannot_go(tmp_path, monkeypatch, capsys, out):
    monkeypatch.chdir(tmp_path)
    before = written(tmp_path, API).read_bytes()
    assert main(["qase", "from-openapi", "api.json", "--out", out]) == 2
    assert f"--out {out}" in capsys.readouterr().err
    assert (tmp_path / "api.json").read_bytes() == before


def test_the_operation_that_signs_in_is_valid_with_the_given_body(tmp_path):
    credentials = {"type": "object", "required": ["user"], "properties": {"user": {"type": "string"}}}
    body = {"content": {"application/json": {"schema": credentials}}}
    post = {"requestBody": body, "responses": {"200": {}, "422": {}}}
    api = {"openapi": "3.1.0", "paths": {"/login": {"post": post}, "/users": {"post": post}}}
    given = '{"user": "qa", "password": "secret"}'
    cases = generate(Document(written(tmp_path, api)), SignIn("POST /login", given)).project.cases
    data = {case.title: case.steps[-1].data for case in cases}
    assert data["POST /login: valid"] == given
    assert data["POST /login: without user"] == '{"password": "secret"}'
    assert data["POST /users: valid"] == '{"user": "text"}'
    other = generate(Document(written(tmp_path, api)), SignIn("POST /login", "user=qa")).project.cases
    assert other[0].steps[-1].data == '{"user": "text"}'


@pytest.mark.parametrize("required", [{}, {"required": False}, {"required": True}])
def test_an_operation_with_a_body_that_is_not_json_is_left_out(tmp_path, required):
    body = {"content": {"multipart/form-data": {"schema": {"type": "object"}}}, **required}
    api = {
        "openapi": "3.1.0",
        "paths": {"/file": {"post": {"requestBody": body, "responses": {}}, "get": {"responses": {}}}},
    }
    generated = generate(Document(written(tmp_path, api)))
    assert [case.title for case in generated.project.cases] == ["GET /file: valid"]
    assert generated.left_out == {"the body is 'multipart/form-data', not application/json": ["POST /file"]}


@pytest.mark.parametrize(("text", "problem"), [("", "is empty"), ("# later\n", "is empty"), ("5", "holds 5")])
def test_a_file_without_a_description_says_what_to_give(tmp_path, text, problem):
    (tmp_path / "api.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"api.yaml {problem}: give an OpenAPI 3 description, JSON or YAML$"):
        Document(tmp_path / "api.yaml")
