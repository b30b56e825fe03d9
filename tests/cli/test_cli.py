"""`rl-eval`: help that teaches, a schema of suites, and mistakes in one sentence."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import rl_eval
from rl_eval.cli import main
from rl_eval.gates import load_suite

ROOT = Path(__file__).resolve().parents[2]


def printed(capsys):
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_teaches(capsys, arguments):
    assert main(arguments) == 0
    out, err = printed(capsys)
    assert err == ""
    for taught in (
        "rl_eval: 1",
        "pytest suites/mine.yaml --rl-run onnx:policy.onnx",
        "--rl-trust",
        "schema",
        "export",
        "Exit status",
    ):
        assert taught in " ".join(out.split())


@pytest.mark.parametrize("command", ["export", "schema", "compare", "score"])
def test_every_command_shows_how_it_is_typed(capsys, command):
    assert main([command, "--help"]) == 0
    assert f"  rl-eval {command} " in printed(capsys)[0]


def test_a_group_of_commands_alone_shows_its_own_help(capsys):
    assert main(["qase"]) == 0
    out, err = printed(capsys)
    assert "Usage: rl-eval qase" in out
    assert "prioritise" in out
    assert err == ""


def test_version(capsys):
    assert main(["--version"]) == 0
    assert printed(capsys)[0] == f"rl-eval {rl_eval.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shema"], "No such command 'shema'. Did you mean 'schema': see `rl-eval --help`"),
        (["--colour"], "No such option: --colour: see `rl-eval --help`"),
        (["export"], "Missing argument 'RUN': see `rl-eval export --help`"),
        (["export", "nowhere"], "export nowhere: add --onnx, the only format"),
        (["export", "nowhere", "--onnx"], "nowhere is not a directory: name a run directory, such as outputs/"),
        (["export", ".", "--onnx", "a", "b"], "Got unexpected extra argument"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(capsys, arguments, sentence):
    assert main(arguments) == 2
    out, err = printed(capsys)
    assert out == ""
    assert " ".join(err.split()).startswith(f"error: {sentence}")


def objects(schema):
    """Every mapping of the schema that has keys of its own, by where it stands."""
    yield "suite", schema
    yield from schema["$defs"].items()


def test_the_schema_describes_every_key(capsys):
    assert main(["schema"]) == 0
    schema = json.loads(printed(capsys)[0])
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["required"] == ["rl_eval", "env", "criteria"]
    bare = [
        f"{where}.{key}"
        for where, node in objects(schema)
        for key, value in node.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("file", sorted((ROOT / "suites").glob("*.yaml")), ids=lambda file: file.name)
def test_the_schema_knows_every_key_of_our_suites(capsys, file):
    main(["schema"])
    schema = json.loads(printed(capsys)[0])
    used = load_suite(file).spec.model_dump(exclude_unset=True)
    assert used.keys() <= schema["properties"].keys()
    criterion = next(node for name, node in schema["$defs"].items() if name.startswith("Criterion"))
    for values in used["criteria"].values():
        assert values.keys() <= criterion["properties"].keys()


def test_the_command_is_installed_by_its_name():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"rl-eval": "rl_eval.cli:main"}


@pytest.mark.parametrize("command", ["-m rl_eval.cli schema", "train.py --help"])
def test_a_reader_that_hangs_up_is_no_error(command):
    pipe = f"set -o pipefail; {sys.executable} {command} | head -c 1"
    done = subprocess.run(["bash", "-c", pipe], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr, len(done.stdout)) == (0, "", 1)


@pytest.mark.parametrize(
    ("arguments", "absent"), [(["--help"], {"torch", "gymnasium", "scipy", "wandb"}), (["schema"], {"torch", "wandb"})]
)
def test_it_starts_without_loading_anything_heavy(arguments, absent):
    code = f"import sys; from rl_eval.cli import main; main({arguments}); print('LOADED', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert not absent & set(done.stdout.rpartition("LOADED")[2].split())
    assert done.returncode == 0
