"""docs/reference/ is what docs/reference.py writes."""

import importlib
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture
def reference(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("reference")


def test_the_reference_is_up_to_date(reference):
    written = {path.name: path.read_text(encoding="utf-8") for path in reference.FOLDER.iterdir()}
    assert written == reference.pages(), "regenerate it with `python docs/reference.py`"


def test_keys_of_a_config_file_have_dots_defaults_and_comments(reference, tmp_path):
    file = tmp_path / "agent.yaml"
    file.write_text(
        "# @package _global_\n# An agent.\ndefaults:\n  - override /env: gym\nname: ppo\nlr: 1e-3 # learning rate\n"
        "network: # of both\n  widths: [64, 64]\n  values: # two rows\n    - [0, 1] # no\n    - [2, 3]\ntags: []\n"
    )
    intro, keys = importlib.import_module("conf_tables").config_file(file)
    assert intro == "An agent."
    assert [(key.name, key.default, key.comment) for key in keys] == [
        ("lr", "1e-3", "learning rate"),
        ("network", "", "of both"),
        ("network.widths", "[64, 64]", ""),
        ("network.values", "[0, 1] [2, 3]", "two rows"),
        ("tags", "[]", ""),
    ]
