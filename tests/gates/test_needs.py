"""`needs` of a suite: extras that are installed, and one sentence with the command for those that are not."""

import re
import tomllib
from pathlib import Path

import pytest

from rl_eval.errors import InputError
from rl_eval.gates import load_suite
from rl_eval.gates.needs import EXTRAS, known_needs, missing_extras, require_needs
from tests.gates.fake_runs import write_suite

ROOT = Path(__file__).parents[2]
SUITE = "rl_eval: 1\nneeds: [{}]\nenv: cartpole\ncriteria: {{a: {{metric: mean_length, at_least: 1, by: estimate}}}}\n"


def test_what_can_be_needed_are_extras_of_the_package():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(known_needs()) <= {*declared, "data"}
    for extra, modules in EXTRAS.items():
        assert len(modules) <= len(declared[extra])


def test_what_is_missing_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(EXTRAS, "llm", ("numpy", "no_such_package", "nor_this"))
    monkeypatch.setitem(EXTRAS, "onnx", ("numpy",))
    (sentence,) = missing_extras(["onnx", "llm", "data"])
    assert re.search(r"^llm .*no_such_package, nor_this.*pip install 'rl_eval\[llm\]'$", sentence)
    assert "numpy" not in sentence


def test_a_suite_that_needs_it_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(EXTRAS, "llm", ("no_such_package",))
    suite = load_suite(write_suite(tmp_path / "a.yaml", SUITE.format("llm, data")))
    with pytest.raises(InputError, match="no_such_package") as caught:
        require_needs(suite)
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(EXTRAS, "llm", ("numpy",))
    require_needs(suite)


def test_an_unknown_need_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r":2: needs: 'lm' .*did you mean 'llm'"):
        load_suite(write_suite(tmp_path / "a.yaml", SUITE.format("lm")))
