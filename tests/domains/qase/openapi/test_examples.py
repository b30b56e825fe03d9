"""Values made from schemas, checked by another library: examples fit, wrong types do not."""

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.qase.openapi.document import Document
from rl_eval.domains.qase.openapi.examples import NoExampleError, example, wrong_type


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("openapi") / "api.json"
    parts = {
        "Name": {"type": "string", "minLength": 3},
        "Tree": {
            "type": "object",
            "required": ["child"],
            "properties": {"child": {"$ref": "#/components/schemas/Tree"}},
        },
    }
    path.write_text(json.dumps({"openapi": "3.1.0", "paths": {}, "components": {"schemas": parts}}))
    return Document(path)


numbers = st.integers(-50, 50)
texts = st.builds(
    lambda low, more, form: {"type": "string", "minLength": low, "maxLength": low + more} | form,
    st.integers(0, 40), st.integers(0, 5), st.sampled_from([{}, {"format": "password"}]),
)  # fmt: skip
whole = st.builds(
    lambda low, more, step: {"type": "integer", "minimum": low, "maximum": low + more + step, "multipleOf": step},
    numbers, st.integers(0, 9), st.integers(1, 7),
)  # fmt: skip
above = st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, numbers)
leaves = texts | whole | above | st.sampled_from(
    [{"type": "boolean"}, {"type": ["null", "string"]}, {"enum": ["a", 1]}, {"const": 7}, {"type": "null"}]
)  # fmt: skip


def containers(parts):
    properties = st.dictionaries(st.sampled_from("abc"), parts, min_size=1)
    return (
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, parts, st.integers(0, 3))
        | properties.map(lambda fields: {"type": "object", "properties": fields, "required": sorted(fields)[:1]})
        | st.lists(parts, min_size=1, max_size=2).map(lambda choices: {"anyOf": choices})
        | properties.map(
            lambda fields: {"allOf": [{"type": "object", "properties": fields}, {"required": list(fields)}]}
        )
    )


@given(schema=st.recursive(leaves, containers, max_leaves=6))
def test_an_example_fits_its_schema(document, schema):
    jsonschema.Draft202012Validator(schema).validate(example(document, schema, "here"))


@given(schema=texts | whole | above | st.sampled_from([{"type": "boolean"}, {"type": "array"}, {"type": "object"}]))
def test_a_value_of_a_wrong_type_does_not(document, schema):
    assert not jsonschema.Draft202012Validator(schema).is_valid(wrong_type(document, schema, "here"))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "example": "ours"}, "ours"),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "string", "format": "uuid"}, "123e4567-e89b-42d3-a456-426614174000"),
        ({"$ref": "#/components/schemas/Name"}, "text"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": True}, 6),  # as OpenAPI 3.0 writes it
        ({}, "text"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}, "b": {"type": "null"}}}, {"a": True, "b": None}),
        ({"properties": {"a": {"type": "boolean"}, "b": {}}, "required": ["a"]}, {"a": True}),
    ],
)
def test_examples_by_hand(document, schema, value):
    assert example(document, schema, "here") == value


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "string", "pattern": "^[a-z]+$"}, "a pattern and no example"),
        ({"$ref": "#/components/schemas/Tree"}, "contains itself"),
        ({"type": "string", "minLength": 10**9}, "more than 4096 characters"),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "no whole number"),
        ({"type": "integer", "minimum": 1e308, "multipleOf": 1e-308}, "no number is between"),
    ],
)
def test_where_no_value_can_be_made_says_why(document, schema, problem):
    with pytest.raises(NoExampleError, match=problem):
        example(document, schema, "here")


def test_any_type_has_no_wrong_one(document):
    with pytest.raises(NoExampleError):
        wrong_type(document, {}, "here")
