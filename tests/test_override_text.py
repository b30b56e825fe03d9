"""What we print is read back by the shell and by Hydra as the same value, whatever it holds."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rl_eval import run
from rl_eval.hydra_compose import compose, expand_sweep
from rl_eval.override_text import override, shell_word, training_command

CONF = Path(__file__).resolve().parents[1] / "conf"
TEXT = st.text(st.sampled_from(list("ab1.=,'\"$\\{}[]():;#*?!&|<>~`% \t/-+_@é日\n")), max_size=12) | st.text(
    max_size=10
)
WORDS = st.sampled_from(["null", "true", "None", "NaN", "1e3", "-inf", "1_000", "..", "./..", "", "'", '\\"', "a\\"])
KEYS = st.text(st.sampled_from("abz_=, :/.-"), min_size=1, max_size=5).filter(lambda key: key == key.strip())
VALUES = st.recursive(
    TEXT | WORDS | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=6,
)
PATHS = [
    "outputs/12-00_sweep/0_lr=0.0003,seed=1",
    "it's one",
    'say "x"',
    "${seed}",
    "\\${a}",
    "a\\",
    "{a:1}[b](c)",
    "#1",
    "$HOME `id` $(id)",
    "Ünïcode 日本",
    "tab\there",
    "new\nline",
    "None",
    "1e-3",
    "~x",
    "*?!&;|<>",
    "",
]


def read(text):
    """The key and the value that Hydra and OmegaConf read."""
    parsed = OverridesParser.create().parse_override(text)
    assert not parsed.is_sweep_override()
    return parsed.key_or_group, OmegaConf.to_container(OmegaConf.create([parsed.value()]), resolve=True)[0]


@settings(max_examples=150, derandomize=True)
@given(VALUES)
def test_any_value_is_read_back(value):
    key, again = read(override("agent.x", value))
    assert key == "agent.x"
    assert (json.dumps(again), type(again)) == (json.dumps(value), type(value))


def in_bash(lines):
    """The words that bash reads from lines of one word each."""
    script = "\n".join(f"printf '%s\\0' {line}" for line in lines)
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]


def test_the_command_that_resumes_a_run_names_it_after_the_shell_and_hydra_have_read_it():
    paths = [str(Path("/runs") / path) for path in PATHS]
    commands = [run.resume_command(Path(path)) for path in paths]
    assert all(command.startswith("python train.py ") for command in commands)
    arguments = in_bash([command.removeprefix("python train.py ") for command in commands])
    assert [read(argument) for argument in arguments] == [("resume", path) for path in paths]
    assert compose(CONF, arguments[:1])["resume"] == paths[0]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_survives_the_expansion_of_a_sweep(path):
    jobs = expand_sweep([override("env.path", path), "seed=1,2"])
    assert [read(job[0]) for job in jobs] == [("env.path", path)] * 2


def test_plain_values_need_no_quotes_and_a_shell_none_either():
    assert training_command([override("resume", Path("outputs/a/12-00_threat_ppo_s1")), override("lr", 1e-3)]) == (
        "python train.py resume=outputs/a/12-00_threat_ppo_s1 lr=0.001"
    )


def test_the_script_is_the_one_that_was_typed(monkeypatch):
    monkeypatch.setattr("sys.argv", ["../a checkout/train.py", "seed=1"])
    assert training_command(["seed=1"]) == "python '../a checkout/train.py' seed=1"
    monkeypatch.setattr("sys.argv", ["/usr/bin/pytest"])
    assert training_command(["seed=1"]) == "python train.py seed=1"


def test_the_shell_reads_a_printed_word_as_it_was():
    words = [*PATHS, "two  spaces", "\udcff bytes", "it's\n\\x41  41", " ends ", "\x1b[31m"]
    lines = [shell_word(word) for word in words]
    assert in_bash(lines) == words
    for line in lines:  # on one line, and joining white space changes nothing
        assert line == " ".join(f"x{line}x".split())[1:-1]
