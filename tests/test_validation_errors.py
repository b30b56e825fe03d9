"""Errors of other libraries become one sentence that names the key."""

from typing import Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from rl_eval.validation_errors import config_sentence, key_path, value_sentence, yaml_sentence


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    workers: int | Literal["auto"] = "auto"
    inner: Inner = Inner()
    rows: list[int] = []


def error_of(values):
    with pytest.raises(ValidationError) as raised:
        Settings.model_validate(values)
    return raised.value


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"workers": "many"}, ("workers",)),  # without the tags `int` and `literal['auto']`
        ({"inner": {"size": "big"}}, ("inner", "size")),
        ({"inner": {"sise": 1}}, ("inner", "sise")),
        ({"rows": [1, "two"]}, ("rows", 1)),
    ],
)
def test_the_key_path_is_that_of_the_values(values, path):
    assert {key_path(error, values) for error in error_of(values).errors()} == {path}


def test_a_config_error_names_key_value_and_neighbours():
    values = {"inner": {"size": "big"}}
    assert config_sentence(error_of(values), values, "env").startswith("env.inner.size='big' is not valid: ")
    values = {"inner": {"sise": 1, "size": 2}}
    sentence = config_sentence(error_of(values), values, "env")
    assert sentence.startswith("env.inner.sise is not a key of env.inner: did you mean 'size'?")
    sentence = config_sentence(error_of({"row": []}), {"row": []}, allowed=Settings.model_fields)
    assert "did you mean 'rows'?" in sentence


def test_a_value_in_the_place_of_a_section_says_that_it_has_keys():
    values = {"inner": "large"}
    sentence = config_sentence(error_of(values), values, "env")
    assert sentence == "env.inner='large' is not valid: it has keys of its own: set them"


def test_a_value_error_says_what_is_required():
    error = error_of({"inner": {"size": "x" * 100}}).errors()[0]
    assert value_sentence(error).startswith("must be a whole number")
    assert len(value_sentence(error)) < 200
    assert "did you mean 'size'?" in value_sentence(error_of({"inner": {"sise": 1}}).errors()[0], ["size"])


def test_a_yaml_error_has_its_line():
    with pytest.raises(yaml.YAMLError) as raised:
        yaml.safe_load("a: 1\nb: [")
    line, sentence = yaml_sentence(raised.value)
    assert line in (2, 3)
    assert sentence.startswith("not valid YAML: ")
    assert yaml_sentence(yaml.YAMLError("a\n b")) == (None, "not valid YAML: a b")
