"""JSON and CSV exports: read correctly, and written back unchanged."""

import contextlib
import copy
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase.formats.case_json import _KNOWN_FIELDS, _UNUSED_FIELDS
from rl_eval.domains.qase.formats.csv_export import read_csv_export, write_csv_export
from rl_eval.domains.qase.formats.enumerations import KNOWN_VALUES
from rl_eval.domains.qase.formats.json_export import read_json_export, write_json_export
from rl_eval.domains.qase.formats.values import parse_json
from rl_eval.domains.qase.model.notes import Notes
from rl_eval.domains.qase.model.project import Case, CaseStep, CaseSuite, Project, build_project
from rl_eval.errors import InputError
from tests.domains.qase.project_strategies import projects

SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def from_json(document):
    return read_json_export(document, "export.json", Notes())


def from_csv(text, prefix=b""):
    return read_csv_export(prefix + text.encode(), "export.csv", Notes())


@SLOW
@given(projects())
def test_any_project_survives_the_json_form(project):
    document = json.loads(json.dumps(write_json_export(project)))
    again = from_json(document)
    assert again == project
    assert write_json_export(again) == document


@SLOW
@given(projects(), st.sampled_from([1, 2]), st.booleans(), st.booleans())
def test_any_project_survives_csv_or_is_refused(project, version, mark, crlf):
    try:
        text = write_csv_export(project, version)
    except InputError:
        return
    if crlf:
        text = text.replace("\n", "\r\n")
    assert from_csv(text, b"\xef\xbb\xbf" if mark else b"") == project


@SLOW
@given(projects())
def test_what_csv_can_say_is_not_refused(project):
    plain = [
        case.model_copy(update={"parameters": (), "tags": ("a", "b c"), "milestone": None}) for case in project.cases
    ]
    bare = [suite.model_copy(update={"description": "", "preconditions": ""}) for suite in project.suites]
    simple = build_project(bare, plain, "drawn")
    if not project.suites and not project.cases:
        return
    assert from_csv(write_csv_export(simple, 2)) == simple


FORMS = {
    "suites": [
        {
            "id": 1, "title": "API", "description": None, "preconditions": "", "cases": None,
            "suites": [
                {
                    "id": 2, "title": "Users", "description": "line\r\nline", "suites": None,
                    "cases": [
                        {
                            "id": 7, "title": "Create", "description": None, "preconditions": None,
                            "postconditions": "", "priority": "High", "severity": "critical", "type": "functional",
                            "behavior": "negative", "automation": "is-not-automated", "status": "actual",
                            "is_flaky": "no", "layer": "api", "milestone": None, "custom_fields": None,
                            "steps_type": "classic", "tags": [{"title": "a"}], "is_muted": 0, "params": None,
                            "steps": [{"position": "1", "action": "POST /users", "expected_result": "201",
                                       "data": None, "steps": None}],
                        },
                        {"id": 9, "title": "bare", "cases_of_its_own": 3},
                    ],
                }
            ],
        }
    ]
}  # fmt: skip


def test_an_export_is_written_again_exactly_as_it_was():
    given_form = copy.deepcopy(FORMS)
    project = from_json(FORMS)
    assert write_json_export(project) == given_form
    case = write_json_export(project)["suites"][0]["suites"][0]["cases"][0]
    assert type(case["is_muted"]) is int  # 0 equals False, and was written as 0


def test_what_changed_since_is_written_as_it_is_now():
    project = from_json(FORMS)
    changed = project.cases[0].model_copy(update={"is_muted": True, "tags": ("b",)})
    written = write_json_export(build_project(project.suites, [changed, project.cases[1]], "x"))
    case = written["suites"][0]["suites"][0]["cases"][0]
    assert (case["is_muted"], case["tags"], case["params"]) == (True, ["b"], None)


def test_fields_are_read_in_any_form():
    case = from_json(FORMS).cases[0]
    assert case == Case(
        id=7, title="Create", severity="critical", priority="high", type="functional", behavior="negative",
        layer="api", suite_id=2, tags=("a",), steps=(CaseStep(action="POST /users", expected_result="201"),),
    )  # fmt: skip
    assert from_json(FORMS).suites[1] == CaseSuite(id=2, title="Users", parent_id=1, description="line\nline")


def test_steps_go_by_their_position():
    steps = [{"position": 2, "action": "b"}, {"position": 1, "action": "a"}]
    case = from_json({"cases": [{"id": 1, "title": "t", "steps": steps}]}).cases[0]
    assert [step.action for step in case.steps] == ["a", "b"]


def test_unknown_values_are_kept_and_noted():
    notes = Notes()
    document = {"cases": [{"id": i, "title": "t", "severity": "Catastrophic", "colour": "red"} for i in (1, 2)]}
    project = read_json_export(document, "export.json", notes)
    assert project.cases[0].severity == "Catastrophic"
    assert notes.counts["severity 'Catastrophic' is not known: kept as text"] == (2, "export.json, cases[0]")
    assert notes.counts["the field 'colour' of a case is not known: not used"][0] == 2
    assert notes.counts["no layer: read as unknown"][0] == 2
    assert write_json_export(project) == document


def case_document(**values):
    return {"suites": [{"id": 1, "title": "s", "cases": [{"id": 1, "title": "t", **values}]}]}


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "export.json: [] where an object is needed"),
        ({"tests": []}, "export.json has neither 'suites' nor 'cases'"),
        ({"suites": {}}, "export.json, suites: {} where a list is needed"),
        ({"suites": [7]}, "export.json, suites[0]: 7 where an object is needed"),
        ({"suites": [{"title": "s"}]}, "export.json, suites[0], field 'id': it is missing"),
        ({"suites": [{"id": True, "title": "s"}]}, "suites[0], field 'id': True where a whole number is needed"),
        ({"suites": [{"id": 0, "title": "s"}]}, "suites[0], field 'id': 0 where an id"),
        (case_document(title=7), "suites[0].cases[0], field 'title': 7 where text is needed"),
        (case_document(title=""), "suites[0].cases[0], field 'title': string should have at least 1 character"),
        (case_document(title="x" * 256), "suites[0].cases[0], field 'title': string should have at most 255"),
        (case_document(is_flaky="maybe"), "field 'is_flaky': 'maybe' where yes or no is needed"),
        (case_document(severity=[1]), "field 'severity': [1] where a whole number is needed"),
        (case_document(steps="1. a"), "cases[0], steps: '1. a' where a list is needed"),
        (case_document(steps=[{"action": 5}]), "steps[0], field 'action': 5 where text is needed"),
        (case_document(steps=[{"position": 1}, {"position": 1}]), "two steps have the same position"),
        (case_document(steps_type="waltz"), "field 'steps_type': input should be 'classic' or 'gherkin'"),
        (case_document(custom_fields=[{"id": 1, "value": "a"}] * 2), "the custom field 1 appears twice"),
        (case_document(tags=[3]), "tags[0]: 3 where a tag's title is needed"),
        (case_document(params=[{"type": "group", "items": []}]), "field 'items'"),
        (case_document(params=[{"type": "both"}]), "'both' where 'single' or 'group' is needed"),
        (case_document(description="\ud800"), "field 'description': text with half a surrogate pair"),
        ({"cases": [{"id": 1, "title": "a"}, {"id": 1, "title": "b"}]}, "case id 1 is used twice, by 'a' and 'b'"),
        ({"suites": [{"id": 1, "title": "a"}, {"id": 1, "title": "b"}]}, "suite id 1 is used twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_with_its_place(document, sentence):
    with pytest.raises(InputError) as message:
        from_json(document)
    assert sentence in str(message.value)
    assert str(message.value).startswith("export.json")


def nested(depth):
    suite = {"id": depth, "title": str(depth), "suites": [], "cases": [{"id": depth, "title": "t"}]}
    for i in range(depth - 1, 0, -1):
        suite = {"id": i, "title": str(i), "suites": [suite], "cases": []}
    return {"suites": [suite]}


def test_ten_levels_are_read_and_a_thousand_refused():
    project = from_json(nested(10))
    assert project.suite_paths[10] == tuple(map(str, range(1, 11)))
    assert from_csv(write_csv_export(project, 1)) == project
    with pytest.raises(InputError, match="more than 100 deep"):
        from_json(nested(300))
    deep = CaseStep(action="10")
    for i in range(9, 0, -1):
        deep = CaseStep(action=str(i), steps=(deep,))
    case = Project(cases=(Case(id=1, title="t", steps=(deep,)),))
    assert from_csv(write_csv_export(case, 2)) == case
    assert from_json(write_json_export(case)) == case


def test_suites_within_themselves_are_refused():
    ring = [CaseSuite(id=i, title=str(i), parent_id=i % 3 + 1) for i in (1, 2, 3)]
    with pytest.raises(InputError, match=r"here: suite 1 \('1'\) contains itself"):
        build_project(ring, [], "here")
    with pytest.raises(InputError, match="names the parent 9, which is missing"):
        build_project([CaseSuite(id=1, title="a", parent_id=9)], [], "here")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b'{"suites": [{"id": 1', "f.json, line 1, column 21: not JSON (the file ends too early)"),
        (b'{"suites": [\n}', "f.json, line 2, column 1: not JSON (Expecting value)"),
        (b'{"suites": [], "suites": []}', "the key 'suites' appears twice in one object"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[" * 200_000, "f.json is nested too deep to be read"),
        (b'{"a":\n"\xff"}', "f.json, line 2: not UTF-8 text"),
        (b"9" * 5000, "f.json: not JSON"),
    ],
)
def test_broken_json_is_reported_with_line_and_column(text, sentence):
    with pytest.raises(InputError) as message:
        parse_json(text, "f.json")
    assert sentence in str(message.value)


HEADER = (
    "id,title,description,preconditions,postconditions,tags,priority,severity,type,behavior,automation,status,is_flaky,"
    "layer,steps_type,steps_actions,steps_result,steps_data,milestone_id,milestone,suite_id,suite_parent_id,suite,"
    "suite_without_cases,parameters"
)


def row(**cells):
    names = HEADER.split(",")
    quoted = ['"' + str(cells.get(name, "")).replace('"', '""') + '"' for name in names]
    return ",".join(quoted)


def suite_row(**cells):
    return row(suite_without_cases=1, **cells)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["name,title"], "line 1: the first column is 'name': a Qase export begins with 'id' or 'v2.id'"),
        (["id,titel"], "line 1: the column 'title' is missing: did you mean 'titel'?"),
        ([HEADER + ",title"], "line 1: the column 'title' appears twice"),
        ([HEADER], "has a header but neither suites nor cases"),
        ([HEADER, row(id=1, title="a") + ",x"], "line 2: 26 columns where the header has 25"),
        ([HEADER, row(id=1, title="a"), "2,b"], "line 3: 2 columns where a case has 25: the row is cut"),
        ([HEADER, row(id="x", title="a")], "line 2, column 'id': 'x' where a whole number is needed"),
        ([HEADER, row(title="a")], "line 2, column 'id': it is empty"),
        ([HEADER, row(id=1)], "line 2, column 'title': it is empty"),
        ([HEADER, row(id=1, title="a\nb"), row(id=1, title="c")], "case id 1 is used twice"),
        ([HEADER, row(id=1, title="a\nb"), row(id="z", title="c")], "line 4, column 'id'"),
        ([HEADER, row(id=1, title="a", suite="s")], "line 2, column 'suite_id': a suite without an id"),
        ([HEADER, suite_row(suite_id=1, suite="s"), suite_row(suite_id=1, suite="s")], "line 3, column 'suite_id'"),
        ([HEADER, suite_row(suite_id=1, suite="s"), row(id=1, title="a", suite_id=1, suite="t")],
         "line 3, column 'suite': suite 1 is 't' below None, and was 's' below None before"),
        ([HEADER, suite_row(suite_id=1, suite="s", title="x")], "column 'title': a value in the row of a suite"),
        ([HEADER, suite_row(suite_id=1, suite="s", suite_parent_id=1)], "suite 1 ('s') contains itself"),
        ([HEADER, suite_row(suite_id=1, suite="s", suite_parent_id=4)], "names the parent 4, which is missing"),
        ([HEADER, row(id=1, title="a", is_flaky="perhaps")], "line 2, column 'is_flaky': 'perhaps' where yes or no"),
        ([HEADER, row(id=1, title="a", steps_actions="open it")], "'steps_actions': 'open it' does not begin with"),
        ([HEADER, row(id=1, title="a", parameters="x")], "column 'parameters': 'x' where 'title:value' is expected"),
        ([HEADER, row(id=1, title="a"), '2,"b'], "line 3: not CSV (unexpected end of data)"),
        ([HEADER.replace("id,", "v2.id,", 1), row(id=1, title="a", steps_actions='1. "a')],
         "column 'steps_actions': '\"a' where a text in quotes is expected"),
        ([HEADER.replace("id,", "v2.id,", 1), row(id=1, title="a", steps_actions='1. "a" 3. "b"')],
         "'3. \"b\"' where the next step is expected"),
    ],
)  # fmt: skip
def test_a_faulty_row_is_reported_with_line_and_column(lines, sentence):
    with pytest.raises(InputError) as message:
        from_csv("\n".join(lines) + "\n")
    assert sentence in str(message.value)
    assert str(message.value).startswith("export.csv")


def test_a_text_may_hold_a_list_of_its_own_and_doubt_is_reported():
    notes = Notes()
    text = "\n".join(
        [HEADER, row(id=1, title="a", steps_actions="1. do\n3. this\n2. then", steps_result="1. x\n2. y\n3. z")]
    )
    steps = read_csv_export(text.encode(), "export.csv", notes).cases[0].steps
    assert [step.action for step in steps] == ["do\n3. this", "then", ""]
    assert "the step columns have different numbers of steps: joined by number" in notes.counts


def test_cells_that_a_spreadsheet_would_run_stay_text():
    notes = Notes()
    bad = '=HYPERLINK("http://x","y")'
    project = read_csv_export(f"{HEADER}\n{row(id=1, title=bad, description='@SUM(A1)')}\n".encode(), "e.csv", notes)
    assert (project.cases[0].title, project.cases[0].description) == (bad, "@SUM(A1)")
    assert "a cell that a spreadsheet would run as a formula: read as text" in notes.counts
    assert from_csv(write_csv_export(project, 1)) == project


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from([b"", HEADER.encode() + b"\n", b'{"suites": [']))
def test_random_bytes_are_refused_or_read(data, start):
    for read in (lambda b: read_csv_export(b, "f", Notes()), lambda b: from_json(parse_json(b, "f"))):
        with contextlib.suppress(InputError):
            assert isinstance(read(start + data), Project)


@SLOW
@given(projects(), st.data())
def test_truncated_exports_are_refused_or_shorter(project, data):
    complete = json.dumps(write_json_export(project)).encode()
    with pytest.raises(InputError):
        from_json(parse_json(complete[: data.draw(st.integers(0, len(complete) - 1))], "export.json"))


plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "0", "1", "yes", "no", "-1", "1.0", "High", " ", "single", "group"]) | st.text(max_size=4)
)  # fmt: skip
# Every name that any form of a case, step, parameter or suite has, and names that none has.
KEYS = sorted(
    {
        *_KNOWN_FIELDS, *_UNUSED_FIELDS, "isManual", "isToBeAutomated", "suites", "cases", "position", "action",
        "expected_result", "data", "shared", "shared_step_hash", "type", "item", "items", "values", "value", "", "é",
    }
)  # fmt: skip
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
empty = st.sampled_from([None, []])
names = st.sampled_from(["", " ", "id", "é"]) | st.text(max_size=3)
some_texts = empty | st.lists(st.none() | names, max_size=3)
single = st.fixed_dictionaries(
    {}, optional={"title": st.none() | names, "values": some_texts, "type": st.just("single")}
)
parameter_forms = (
    empty
    | st.just({})
    | st.dictionaries(names, some_texts, max_size=3)
    | st.lists(
        single
        | st.fixed_dictionaries({"item": single}, optional={"type": st.just("single")})
        | st.fixed_dictionaries({"type": st.just("group"), "items": st.lists(single, max_size=3)}),
        max_size=3,
    )
)
step_forms = st.recursive(
    empty,
    lambda inner: st.lists(
        names
        | st.fixed_dictionaries(
            {},
            optional={
                "position": st.integers(-2, 9) | st.sampled_from(["1", "02"]),
                "action": st.none() | names,
                "data": st.none() | names,
                "shared": st.none() | names,
                "shared_step_hash": st.none() | names,
                "steps": inner,
            },
        ),
        max_size=3,
    ),
    max_leaves=6,
)
flags = st.none() | st.booleans() | st.sampled_from([0, 1, "yes", "no", "", "True", "0"])
slugs = st.none() | st.integers(-1, 9) | st.sampled_from(["", "High", "blocker", "0", " api ", "\u00b2"]) | names
case_forms = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("description", "preconditions", "postconditions"), st.none() | names),
        "steps_type": st.sampled_from([None, "", "classic", "gherkin"]),
        **dict.fromkeys(KNOWN_VALUES, slugs),
        **dict.fromkeys(("is_flaky", "is_muted", "isManual", "isToBeAutomated"), flags),
        **dict.fromkeys(("params", "parameters"), parameter_forms),
        "milestone": st.none() | names | st.fixed_dictionaries({"title": st.none() | names}),
        "milestone_id": st.none() | st.sampled_from([1, "2", ""]),
        "steps": step_forms,
        "tags": empty | st.lists(names | st.fixed_dictionaries({"title": names}), max_size=3),
        "custom_fields": empty
        | st.dictionaries(st.sampled_from(["1", "02", "-0"]), plain, max_size=2)
        | st.lists(
            st.fixed_dictionaries({"id": st.integers(0, 3) | st.sampled_from(["1", "02"])}, optional={"value": plain}),
            max_size=3,
        ),
        "attachments": anything,
        "": anything,
    },
)


def written_again(document):
    """Whether a document is read; if so, it is written as it was, with the same types."""
    try:
        project = from_json(document)
    except InputError:
        return False
    assert json.dumps(write_json_export(project), sort_keys=True) == json.dumps(document, sort_keys=True)
    assert from_json(write_json_export(project)) == project
    return True


@SLOW
@given(anything)
@example({"parameters": {"id": None}})  # the name of the REST API, and an older form
def test_values_of_any_type_are_refused_or_written_again(values):
    cases = [{"id": 2, "title": "t", **values}] if isinstance(values, dict) else values
    written_again({"suites": [{"id": 1, "title": "s", "cases": cases}]})


@settings(SLOW, max_examples=200)
@given(case_forms, case_forms, st.dictionaries(st.sampled_from(["cases", "suites", "", "title"]), plain | empty))
def test_every_form_of_every_field_is_written_again(first, second, others):
    cases = [{"id": 1, "title": "t", **first}, {"id": "2", "title": "u", **second}]
    written_again({"cases": cases})
    suite = {"title": "s", **{name: value for name, value in others.items() if name != "title"}}
    written_again({**others, "suites": [{"id": 1, **suite, "cases": cases}, {"id": "2", **suite}]})
