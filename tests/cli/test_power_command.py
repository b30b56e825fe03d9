"""`rl-eval power`: a table, what was assumed, and mistakes in one sentence."""

from __future__ import annotations

import re

import pytest

from rl_eval.cli import main
from tests.gates.fake_runs import write_suite

SUITE = """
    rl_eval: 1
    env: cartpole
    runs: {count: 2}
    episodes: {return_bounds: [0, 500]}
    criteria:
      high: {metric: mean_return, at_least: 400}
      stands: {metric: success_rate, at_least: 0.5}
      quick: {metric: training.wall_s, at_most: 9}
"""


@pytest.fixture
def suite(tmp_path):
    return str(write_suite(tmp_path / "pole.yaml", SUITE))


def test_it_prints_chances_assumptions_and_what_it_leaves_out(suite, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["power", suite, "--gates", "20", "--true", "high=480", "--true", "success_rate=0.9"]) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["high"][1:5] == ["mean_return", "≥", "400", "480"]
    assert 0 <= float(rows["high"][5]) <= 1
    assert rows["high"][-1].endswith("/400")
    for part in (
        "if the criteria are independent",
        "alpha 0.05",
        "judges 2",
        "assumed for high",
        "not simulated: quick",
    ):
        assert part in out
    assert "gates" in err


def test_a_narrow_terminal_leaves_out_the_metric(suite, capsys, monkeypatch):
    for width, shown in (("80", False), ("160", True)):
        monkeypatch.setenv("COLUMNS", width)
        assert main(["power", suite, "--gates", "5", "--true", "high=480"]) == 0
        head, _, row = capsys.readouterr().out.splitlines()[:3]
        assert ("metric" in head, "mean_return" in row) == (shown, shown)
        assert {"INCONCLUSIVE", "median units"} <= set(re.split("  +", head.strip()))


def test_the_same_command_prints_the_same(suite, capsys):
    arguments = ["power", suite, "--gates", "10", "--seed", "4"]
    main(arguments)
    once = capsys.readouterr().out
    main(arguments)
    assert capsys.readouterr().out == once


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--true", "high"], "--true high"),
        (["--true", "high=much"], "--true high=much"),
        (["--true", "high=nan"], "--true high=nan"),
        (["--std", "high=1", "--std", "high=2"], "twice"),
        (["--true", "hihg=1"], "did you mean 'high'"),
        (["--prevalence", "1.5"], "--prevalence 1.5"),
        (["--data", "somewhere"], "--data somewhere"),
        (["--gates", "0"], "--gates"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(suite, options, named, capsys):
    assert main(["power", suite, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error = " ".join(err[err.index("error:") :].split())
    assert named in error
    assert "Traceback" not in err


def test_help_shows_how_it_is_typed(capsys):
    assert main(["power", "--help"]) == 0
    assert "  rl-eval power suites/" in capsys.readouterr().out
