"""`rl-eval threat inspect`: what it says of files, and that what it prints works when pasted."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval.cli import main
from rl_eval.config import load
from rl_eval.diagnostics import DiagnosedRun, findings_of
from rl_eval.domains import gym, threat
from rl_eval.domains.threat.commands.inspection import _price_notes, overrides
from rl_eval.domains.threat.commands.proposal import propose
from rl_eval.gates.suite import load_suite
from rl_eval.hydra_compose import compose
from rl_eval.metrics import MetricUndefined, lookup
from rl_eval.run import FILES_SHA256, file_sha256, write_json

RNG = np.random.default_rng(0)
CONF = Path(__file__).resolve().parents[4] / "conf"
RATES = {7: "", 9: "Infinity"}
NOTHING = dict.fromkeys(("benign", "threat", "ignore", "categorical", "times"), ())


def flows(path, labels=("BENIGN", "DoS Hulk"), rows=200, **columns):
    table = {
        "Source IP": [f"10.0.0.{i % 9}" if i % 3 else "8.8.8.8" for i in range(rows)],
        "id": [f"a{i:05}" for i in range(rows)],
        "Rate": [RATES.get(i % 20, f"{x:.4f}") for i, x in enumerate(RNG.random(rows))],
        "Flags": ["0"] * rows,
        "Proto": [["tcp", "udp"][i % 2] for i in range(rows)],
        **columns,
        "Label": [labels[int(x < 0.3)] for x in RNG.random(rows)],
    }
    path.write_text("\n".join([", ".join(table), *(",".join(row) for row in zip(*table.values(), strict=True)), ""]))
    return path


def rows_of(out):
    """Column -> the rest of its row."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("---")) + 1
    table = lines[start : lines.index("", start)]
    return {re.split(r"\s{2,}", line)[0]: line for line in table}


def test_every_column_is_said_and_the_config_is_completed(tmp_path, capsys):
    path = flows(tmp_path / "flows.csv")
    assert main(["threat", "inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{path}: CSV, ASCII, separated by commas\n200 flows, 6 columns\n")
    rows = rows_of(out)
    assert "class of address" in rows["Source IP"]
    assert "left out" in rows["id"]
    assert "5.0 %" in rows["Rate"]
    assert "infinite" in out  # its cell may be on two lines
    assert "the same in every training row" in rows["Flags"]
    assert "2 values: tcp 50.0 %" in rows["Proto"]
    assert "(benign)" in rows["Label"]
    command = next(line for line in out.splitlines() if line.startswith("train:"))
    words = shlex.split(command.partition("python train.py ")[2])
    assert set(words) == {
        "env=threat", "env.data=csv", f"env.path={path}", "env.label=Label", 'env.threat_labels=["*"]',
        "env.missing=indicator",
    }  # fmt: skip


def test_the_command_composes_the_config_that_was_inspected(tmp_path):
    path = flows(tmp_path / "flöws, 1.csv", labels=("ok 'a'", "b[*]"))
    choices = {**NOTHING, "benign": ("ok*",), "threat": ("*",), "ignore": ("id",)}
    proposal = propose(path, label="Label", category=None, **choices)
    assert proposal.can_be_trained_on
    config = load(compose(CONF, ["env=threat", *overrides(proposal.config)]))
    assert config.env == proposal.config
    assert threat.DOMAIN.preprocessing(config.env)["columns"]


def test_the_suite_judges_the_run_that_the_command_trains(tmp_path, capsys):
    path, suite = flows(tmp_path / "flows.csv"), tmp_path / "suites" / "mine.yaml"
    assert main(["threat", "inspect", str(path), "--suite", str(suite)]) == 0
    assert f"pytest {suite}" in capsys.readouterr().out
    loaded = load_suite(suite)
    config = propose(path, label=None, category=None, **NOTHING).config
    assert loaded.env == config
    names = {name for criterion in loaded.criteria for name in criterion.spec.better_than}
    assert names >= {"constant:*"}
    baselines = {name.partition("@")[0].removeprefix("baseline:") for name in names - {"constant:*"}}
    assert baselines <= set(threat.DOMAIN.baselines)
    # the bars at its end can be used as they are
    text = suite.read_text().replace("#  ", "  ")
    assert {"catches_threats", "spares_benign"} < set(yaml.safe_load(text)["criteria"])
    suite.write_text(text)
    assert len(load_suite(suite).criteria) == len(loaded.criteria) + 2
    assert main(["threat", "inspect", str(path), "--suite", str(suite)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_own_prices_are_in_the_suite_and_in_the_command(tmp_path, capsys):
    path, suite = flows(tmp_path / "flows.csv"), tmp_path / "mine.yaml"
    assert (
        main(["threat", "inspect", str(path), "--suite", str(suite), "--costs", "[[0,100,40,10],[500,0,20,60]]"]) == 0
    )
    command = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("train:"))
    words = shlex.split(command.partition("python train.py ")[2])
    assert "reward=threat_costs" in words
    trained = load(compose(CONF, words)).env
    assert trained.costs == ((0.0, 100.0, 40.0, 10.0), (500.0, 0.0, 20.0, 60.0))
    assert load_suite(suite).env == trained
    assert main(["threat", "inspect", str(path)]) == 0
    assert "--costs '[[allow," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("costs", "note"),
    [
        (((0, 1, 2, 3), (9, 0, 1, 2)), None),
        (((9, 0, 0, 0), (0, 1, 2, 3)), "the first row is of benign flows"),
        (((0, 9, 9, 9), (0, 1, 2, 3)), "allowing a threat does not cost the most"),
        (((0, 1, 1, 1), (20, 0, 1, 2)), "cost the same on a benign flow:"),
    ],
)
def test_unusual_prices_are_noted(costs, note):
    notes = " ".join(_price_notes(costs))
    assert (notes == "") if note is None else note in notes


@pytest.mark.parametrize(
    ("labels", "arguments", "words"),
    [
        (("good", "bad"), [], ["mean nothing yet: 'good', 'bad'", "--benign and --threat"]),
        (("benign", "normal"), [], ["all flows are of one class"]),
        (("good", "bad"), ["--benign", "good"], ["are taken for threats: 'bad'", "train:"]),
        (("x", "y"), ["--label", "Proto", "--threat", "u*", "--benign", "*"], ["train:", 'threat_labels=["u*"]']),
    ],
)
def test_what_the_labels_mean_is_asked_where_it_is_not_known(tmp_path, capsys, labels, arguments, words):
    assert main(["threat", "inspect", str(flows(tmp_path / "f.csv", labels)), *arguments]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert all(word in out for word in words), out
    assert ("train:" in out) == ("train:" in words)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.csv"], "gone.csv does not exist"),
        (["f.csv", "--label", "Labels"], "no column 'Labels': did you mean 'Label'"),
        (["f.csv", "--ignore", "Labels"], "set env.ignore"),
        (["f.csv", "--costs", "[[0,1],[5,0]]"], "--costs [[0,1],[5,0]] is not two rows of four prices"),
        (["f.csv", "--costs", "0,1"], "--costs 0,1 is not two rows of four prices"),
        (["f.csv", "--label", "Proto", "--suite", "s.yaml"], "s.yaml is not written"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    flows(tmp_path / "f.csv")
    assert main(["threat", "inspect", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "s.yaml").exists()


def test_names_and_cells_of_a_file_cannot_write_to_the_terminal(tmp_path, capsys):
    path = flows(tmp_path / "f.csv", labels=("benign", "\x1b[31mred"), **{"[bold]x\x1b]0;t\x07": ["\x1b[2J"] * 200})
    assert main(["threat", "inspect", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]x" in out


def test_silent_columns_are_a_finding_of_the_run(tmp_path):
    config = propose(flows(tmp_path / "f.csv"), label=None, category=None, **NOTHING).config
    write_json(tmp_path / "preprocessing.json", threat.DOMAIN.preprocessing(config))
    info = {FILES_SHA256: {"preprocessing.json": file_sha256(tmp_path / "preprocessing.json")}}
    (finding,) = findings_of(DiagnosedRun(tmp_path, info, {"env": config.model_dump(mode="json")}), "silent_features")
    assert finding.severity == "note"
    assert set(finding.data["silent"]) == {"id", "Flags"}
    assert finding.data["fields"] == 5


def test_mean_cost_of_another_environment_is_one_sentence():
    with pytest.raises(MetricUndefined, match="needs the prices of env=threat"):
        lookup("mean_cost").bounds(gym.Config(id="CartPole-v1"))
