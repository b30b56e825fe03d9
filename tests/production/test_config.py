"""The config of production: defaults, durations, and refusals as sentences."""

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.production.config import load_config


def write(folder, text):
    path = folder / "production.yaml"
    path.write_text(text)
    return path


def test_a_name_is_enough(tmp_path):
    config = load_config(write(tmp_path, "name: triage\n"))
    assert config.path == tmp_path / "production"
    assert config.privacy.retention == 7 * 86_400


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86_400), ("2 d", 172_800)]
)
def test_durations(tmp_path, text, expected):
    config = load_config(write(tmp_path, f"name: a\nprivacy:\n  retention: {text}\n"))
    assert config.privacy.retention == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no production config"),
        ("name: a\nquue: 1\n", "quue: there is no such key: allowed are name"),
        ("name: a\ncollect:\n  stoer: x\n", "collect.stoer: there is no such key: did you mean 'store'?"),
        ("name: a\nprivacy:\n  retention: 8d\n", "privacy.retention: must be less than or equal to 604800"),
        ("name: a\nprivacy:\n  retention: soon\n", "a duration such as 90s"),
        ("name: a\nprivacy:\n  features:\n    x: {action: coarsen}\n", "step belongs to action: coarsen"),
        ("name: a\ncollect:\n  store: postgresql://me:secret@host/db\n", "must hold no password"),
        ("name: A B\n", "name: String should match"),
        ("name: [\n", "not valid YAML"),
        ("name: a\nserve:\n  port: '80'\n", "serve.port: must be a whole number, not '80'"),
    ],
)
def test_refusals(tmp_path, text, sentence):
    with pytest.raises(InputError) as refused:
        load_config(write(tmp_path, text))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_check_prints_what_is_configured(tmp_path, capsys):
    assert main(["production", "check", str(write(tmp_path, "name: triage\n"))]) == 0
    assert "sqlite:///store.sqlite" in capsys.readouterr().out
    assert main(["production", "check", str(tmp_path / "absent.yaml")]) == 2
