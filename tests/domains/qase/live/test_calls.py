"""Cases parsed into calls, or the reason why not; expected results as checks, compared as in JSON."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.live import CallPlan, NotRunnable, expectation, parse_case, template
from rl_eval.domains.qase.live.expectation import CheckedResponse, mismatch
from rl_eval.domains.qase.model.project import Case, CaseStep, Parameter, ParameterGroup

BODY = {"email": "a@b.c", "id": 7, "items": [{"id": 1}, {"id": 2}], "ok": True, "none": None, "length": 5, "t": "2,0"}


def case(*steps, **values):
    return Case(id=1, title="-", steps=tuple(CaseStep(**step) for step in steps), **values)


def step(action="GET /", expected_result="200", **values):
    return {"action": action, "expected_result": expected_result, **values}


def mismatch_of(expected, body=BODY, status=200, headers=None, ms=20.0):
    return mismatch(
        expectation.parse_expectation(expected), CheckedResponse(status, headers or {}, body, True, ms), {"seven": 7}
    )


@pytest.mark.parametrize(
    "expected",
    [
        "200", "status 200", "Status: 200", "status code is 200", "200 OK", "HTTP 200", "2xx", "200.", "",
        'status 200, body.email == "a@b.c"', 'body.email contains "@" and body.id != 8', "body.items[0].id == 1",
        "body.items[-1].id == 2", "body.items.length == 2", "body.length == 5", "body.email.length == 5",
        "body.id > 6; body.id <= 7", "body.id <= {{seven}}",
        "body.none exists\nbody.gone not exists", "body.gone does not exist",
        'body.items contains {"id": 2}', "body.items not contains 1", 'body contains "ok"', "body.ok == true",
        'body.t == "2,0", 200', 'body.email != "x and y"', "header content-type not exists", "duration < 500 ms",
        "duration <= 20", "body.id == {{seven}}", 'body.items == [{"id": 1}, {"id": 2}]', "body.none == null",
        'body.email < "b"', 'save body.id as x, body.id == 7.0', "body != []",
    ],
)  # fmt: skip
def test_expectations_that_are_met(expected):
    assert mismatch_of(expected) is None


@pytest.mark.parametrize(
    "expected",
    [
        "201", "4xx", "body.ok == 1", 'body.id == "7"', "body.none not exists", "body.gone exists", "body.gone != 1",
        'body.id < "8"', "body.items.length > 2", "body.items[2].id == 3", "body.id != 7", 'body.email contains "z"',
        "header x exists", "duration > 20", 'body.id contains 7', "body.none < 1", "body.email not exists",
    ],
)  # fmt: skip
def test_expectations_that_are_not_met(expected):
    assert mismatch_of(expected)


@pytest.mark.parametrize(
    "expected",
    [
        "the user is created", "201 and the user is shown", "201 is not returned", "200, 201", "body.email == a@b.c",
        "body.email = 1", "body..a exists", "status 999", "200 OK or so", "body.id > [1]", "body.id == 'x'",
        "body.id ~ 1", 'body.id == "', "body.id == 1 2", "save body.id", "save body.id as 1x", "200,, x",
        "body.a == NaN", 'body == {"a": 1, "a": 2}', "body == " + "[" * 99, "duration == soon", "x" * 9000,
        "body.id == " + "9" * 99, "not 500",
    ],
)  # fmt: skip
def test_what_is_not_understood_makes_a_case_not_runnable(expected):
    result = parse_case(case(step(expected_result=expected)))
    assert isinstance(result, NotRunnable)
    assert result.reason.startswith("step 1: ")


def test_a_body_that_is_not_json_meets_no_check_of_it():
    response = CheckedResponse(200, {}, None, False, 1.0)
    assert mismatch(expectation.parse_expectation("body.password not exists"), response, {})
    assert mismatch(expectation.parse_expectation("body not exists"), response, {}) is None


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "no step"),
        ([step("Open the page")], "is not a request"),
        ([step("GET https://example.com/")], "its own host"),
        ([step("GET example")], "begins with one slash"),
        ([step("get /")], "is not a request"),
        ([step("")], "no action"),
        ([step("", shared_step_hash="h")], "shared step"),
        ([step("GET /", data='{"a": 1}')], "cannot have a body"),
        ([step("POST /", data="{'a': 1}")], "is not JSON"),
        ([step("POST /", data="1e999")], "is not JSON"),
        ([step("POST /", data="[" * 5000)], "is not JSON"),
        ([step("POST /", data="A: b\nnothing")], "is not a header"),
        ([step("POST /", data="Host: example.com")], "a case cannot set"),
        ([step("POST /", data="x-control-token: 1")], "a case cannot set"),
        ([step("POST /", data="A: b\x00")], "not allowed in a header"),
        ([step("GET /{{id}}")], "no earlier step saves"),
        ([step(expected_result="body.a == {{id}}")], "no earlier step saves"),
        ([step(expected_result="")], "has an expected result"),
        ([step(expected_result="save body.a as a")], "has an expected result"),
        ([step()] * 51, "more than 50 requests"),
        ([step("A user", expected_result="", steps=(CaseStep(action="GET /", expected_result="x"),))], "step 1.1"),
        ([step("Given a user", steps=(CaseStep(action="GET /", expected_result="200"),))], "is not a request"),
    ],
)  # fmt: skip
def test_cases_that_cannot_be_run_have_a_reason(steps, reason):
    result = parse_case(case(*steps))
    assert isinstance(result, NotRunnable)
    assert reason in result.reason


def test_steps_within_steps_come_after_their_own_and_a_heading_is_passed_over():
    inner = (CaseStep(action="GET /b", expected_result="200"), CaseStep(action="GET /c", expected_result="200"))
    result = parse_case(case(step("GET /a", steps=inner), step("Afterwards", "", steps=inner[:1])))
    assert [(call.step, call.path) for call in result.calls] == [
        ("1", "/a"), ("1.1", "/b"), ("1.2", "/c"), ("2.1", "/b"),
    ]  # fmt: skip


def test_headers_stand_before_the_body():
    (call,) = parse_case(case(step("POST /", data='X-Id: 7\nAuthorization: Bearer x\n\n{"a": [1, 2]}'))).calls
    assert call.headers == (("X-Id", "7"), ("Authorization", "Bearer x"))
    assert call.fixed == b'{"a":[1,2]}'


def test_parameters_make_rows_and_groups_go_together():
    group = ParameterGroup(items=(Parameter(title="a", values=("1", "2")), Parameter(title="b", values=("x", "y"))))
    single = Parameter(title="c", values=("p", "q"))
    result = parse_case(case(step("GET /{{a}}/{{b}}/{{c}}"), parameters=(group, single)))
    assert [tuple(row.values()) for row in result.rows] == [
        ("1", "x", "p"), ("1", "x", "q"), ("2", "y", "p"), ("2", "y", "q"),
    ]  # fmt: skip
    many = Parameter(title="d", values=tuple("abcdefghijk"))
    assert "22 rows" in parse_case(case(step("GET /{{c}}"), parameters=(single, many))).reason
    assert "no values" in parse_case(case(step(), parameters=(Parameter(title="d", values=()),))).reason
    assert "not a name" in parse_case(case(step(), parameters=(Parameter(title="the user", values=("1",)),))).reason


def test_values_stand_in_json_as_what_they_are():
    body = template.read_json('{"a": {{n}}, "b": "{{n}}!", "c": [{{t}}], "{{t}}": "{{t}}", "d": {{p}}, "e": "{{p}}"}')
    values = {"n": 7, "t": 'say "x"', "p": template.ParameterText("2")}
    assert template.fill_json(body, values) == {
        "a": 7, "b": "7!", "c": ['say "x"'], 'say "x"': 'say "x"', "d": 2, "e": "2",
    }  # fmt: skip
    with pytest.raises(template.MissingValueError, match="cannot be part of a text"):
        template.fill_json("x {{n}}", {"n": [1]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(JSON, JSON)
@example("\x00", None)
@example({"\x00a": "\x00{"}, None)
def test_a_value_equals_itself_and_nothing_that_json_writes_otherwise(one, other):
    written = json.dumps(one)
    assert mismatch_of(f"body == {written}", one) is None
    assert mismatch_of(f"body != {written}", one)
    same = one == other and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if same or (not isinstance(one, int | float) and json.dumps(one) != json.dumps(other) and one != other):
        assert (mismatch_of(f"body == {written}", other) is None) == same


@settings(max_examples=150)
@given(st.text(), st.text(), st.text())
def test_any_text_makes_a_plan_or_a_reason(action, data, expected):
    for first in (action, f"POST /{action}"):
        result = parse_case(case(step(first, expected, data=data)))
        assert isinstance(result, CallPlan) or result.reason
