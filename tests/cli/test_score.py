"""`rl-eval score`: the decisions of a run on rows of new data, as CSV."""

import csv
import io
import os
import types

import numpy as np
import polars as pl
import pytest

from agents import AGENTS, AgentEntry
from rl_eval import domains, policy, scoring
from rl_eval.cli import main
from rl_eval.domains import threat
from rl_eval.domains.threat import synthetic
from rl_eval.domains.threat.data import load_dataset
from rl_eval.domains.threat.fitted_preprocessing import CLIP, Categorical, FittedPreprocessing, Numeric
from rl_eval.domains.threat.rows import FlowRows, isotonic_regression
from rl_eval.run import write_json
from tests.gates import fake_agent
from tests.gates.fake_runs import record_files, write_run

ENV = {"name": "threat", "train_flows": 600, "validation_flows": 800, "test_flows": 400, "data_seed": 3}
CONFIG = threat.Config(**{key: value for key, value in ENV.items() if key != "name"})
DECISION = ["action", "probability", "expected_cost"]


class Softmax(fake_agent.Linear):
    """The same linear policy, with probabilities."""

    def probabilities(self, obs):
        p = np.exp(obs[:, : len(self.weights)] @ self.weights + self.bias)
        return p / p.sum(axis=1, keepdims=True)


def load(arrays, meta, seed=0):
    return Softmax(arrays["weights"], arrays["bias"])


@pytest.fixture(autouse=True)
def _agents(monkeypatch):
    entry = AgentEntry("fake", config_target=Softmax, agent_target=Softmax, policy_target=load)
    monkeypatch.setitem(AGENTS, "fake", entry)


@pytest.fixture
def run(tmp_path):
    """Blocks flows with much of the sixth field, `recent_flows`, and does not look at the others."""
    rule = np.zeros(8)
    rule[5] = 2.0
    made = write_run(tmp_path / "run", ENV, rule=rule, bias=(0.0, -1.0, -50.0, -50.0))
    write_json(made.path / "preprocessing.json", threat.DOMAIN.preprocessing(CONFIG))
    return record_files(made.path).path


def flows(count, part="test"):
    table = synthetic.generate(count, 0.109, 3, part)
    numbers = {name: table.numeric[:, i] for i, name in enumerate(table.numeric_names)}
    texts = {
        name: [table.levels[i][code] for code in table.codes[:, i]] for i, name in enumerate(table.categorical_names)
    }
    return pl.DataFrame({**texts, **numbers})


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def stdin(monkeypatch, content):
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))


def test_decisions_are_those_of_the_gate_on_the_same_flows(run, tmp_path, capsys):
    flows(400).write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert list(rows[0]) == ["line", *DECISION]
    assert [int(row["line"]) for row in rows] == list(range(2, 402))
    envs = domains.make(CONFIG, n_envs=1, part="test", autoreset=False)
    judged = policy.load(str(run), policy.Spaces.of(CONFIG, envs), CONFIG)
    features = load_dataset(CONFIG).parts["test"].features
    expected, probabilities = judged.act(features, True), judged.probabilities(features)
    assert [threat.ACTIONS.index(row["action"]) for row in rows] == expected.tolist()
    assert {row["action"] for row in rows} == {"allow", "block"}
    np.testing.assert_allclose([float(row["probability"]) for row in rows], probabilities.max(axis=1), rtol=1e-5)


def test_files_streams_and_orders_of_columns_give_the_same(run, tmp_path, monkeypatch, capsys):
    frame = flows(50)
    frame.write_csv(tmp_path / "new.csv")
    frame.write_parquet(tmp_path / "new.parquet")
    frame.select(reversed(frame.columns)).write_csv(tmp_path / "turned.csv")
    results = []
    for name in ("new.csv", "new.parquet", "turned.csv"):
        assert main(["score", str(run), str(tmp_path / name)]) == 0
        results.append(capsys.readouterr().out)
    stdin(monkeypatch, b"\xef\xbb\xbf" + (tmp_path / "new.csv").read_bytes().replace(b"\n", b"\r\n"))
    assert main(["score", str(run), "-", "--out", str(tmp_path / "out.csv")]) == 0
    results.append((tmp_path / "out.csv").read_text())
    without_lines = [[list(row.values())[1:] for row in rows_of(text)] for text in results]
    assert all(rows == without_lines[0] for rows in without_lines)
    assert [row["line"] for row in rows_of(results[1])] == [str(i) for i in range(1, 51)]  # rows of Parquet


def test_chunks_change_nothing(run, tmp_path, monkeypatch, capsys):
    flows(40).write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv"), "--why"]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setattr("rl_eval.domains.threat.row_chunks.CHUNK_ROWS", 7)
    assert main(["score", str(run), str(tmp_path / "new.csv"), "--why"]) == 0
    assert capsys.readouterr().out == whole


def test_why_names_the_only_column_that_the_policy_reads(run, tmp_path, capsys):
    flows(30).write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv"), "--why"]) == 0
    for row in rows_of(capsys.readouterr().out):
        assert (row["why_1"], row["why_2"], row["why_3"]) == ("recent_flows", "", "")
        assert float(row["change_1"]) != 0.0


def test_occlusion_ranks_columns_by_the_change_of_the_probability():
    judged = Softmax(np.array([[0.0, 1.0], [0.0, -3.0], [0.0, 0.5], [0.0, 0.0], [0.0, 0.1]]), np.zeros(2))
    observations, typical = np.ones((1, 5), np.float32), np.zeros(5, np.float32)
    columns = {name: slice(i, i + 1) for i, name in enumerate("abcde")}
    probability = judged.probabilities(observations)[:, 0]
    ((first, second, third),) = scoring.occlusion(judged, observations, np.array([0]), probability, columns, typical)
    assert [first[0], second[0], third[0]] == ["b", "a", "c"]

    def p(logit):
        return 1.0 / (1.0 + np.exp(logit))

    assert first[1] == pytest.approx(p(-1.4) - p(1.6), abs=1e-6)


def test_expected_costs_are_right_on_average_where_they_were_estimated(run, tmp_path, capsys):
    part = load_dataset(CONFIG).parts["validation"]
    flows(800, "validation").write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    rows = rows_of(capsys.readouterr().out)
    actions = np.array([threat.ACTIONS.index(row["action"]) for row in rows])
    real = np.asarray(CONFIG.costs)[part.label, actions].mean()
    assert np.mean([float(row["expected_cost"]) for row in rows]) == pytest.approx(real, rel=0.2)


def test_a_policy_without_probabilities_has_costs_by_action(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    flows(800, "validation").write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    rows = rows_of(capsys.readouterr().out)
    label, costs = load_dataset(CONFIG).parts["validation"].label, np.asarray(CONFIG.costs)
    for name in ("allow", "block"):
        chosen = np.array([row["action"] == name for row in rows])
        real = costs[label[chosen], threat.ACTIONS.index(name)].mean()
        assert {row["expected_cost"] for row in np.array(rows)[chosen]} == {f"{real:.6g}"}
    assert {row["probability"] for row in rows} == {""}
    assert main(["score", str(run), str(tmp_path / "new.csv"), "--why"]) == 2


def test_no_threat_among_few_flows_is_not_certain_to_cost_nothing(run, tmp_path, capsys):
    label = np.repeat([0, 1], [200, 29])
    share = isotonic_regression(np.arange(229.0), label)(np.arange(229.0))
    assert 1 / 202 <= share[0] <= 1 / 180  # groups of a dozen flows
    assert 0.9 < share[-1] <= 30 / 31
    assert (np.diff(share) >= 0).all()
    flows(20).write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    validation = load_dataset(CONFIG).parts["validation"].label
    assert f"expected_cost is rough: P(threat) is estimated from {len(validation)} val" in capsys.readouterr().err


def test_isotonic_regression_is_monotone_and_keeps_the_mean():
    rng = np.random.default_rng(0)
    score = rng.random(3_000).round(2)
    label = (rng.random(3_000) < score**2).astype(int)
    share = isotonic_regression(score, label)
    assert share(score).mean() == pytest.approx(label.mean(), abs=0.01)
    assert (np.diff(share(np.linspace(-1, 2, 500))) >= 0).all()
    assert share(np.array([0.9]))[0] == pytest.approx(0.81, abs=0.08)


def test_without_the_data_of_the_run_its_preprocessing_still_decides(run, tmp_path, capsys):
    flows(20).write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    before = rows_of(capsys.readouterr().out)
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("data: synthetic", "data: csv").replace("path: null", "path: gone"))
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    out, err = capsys.readouterr()
    assert [{**row, "expected_cost": ""} for row in before] == rows_of(out)
    assert "gone" in err
    assert main(["score", str(run), str(tmp_path / "new.csv"), "--why"]) == 2


def test_kept_texts_are_no_formulas(run, tmp_path, capsys):
    frame = flows(4).with_columns(note=pl.Series(["=cmd|x", "-1.5", "plain", "\t@SUM(1)"]))
    frame.write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv"), "--keep", "note"]) == 0
    notes = [row["note"] for row in rows_of(capsys.readouterr().out)]
    assert notes == ["'=cmd|x", "-1.5", "plain", "'@SUM(1)"]


def test_a_new_category_is_the_other_one(run, tmp_path, capsys):
    flows(3).with_columns(service=pl.lit("gopher")).write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    assert len(rows_of(capsys.readouterr().out)) == 3


def test_columns_unlike_those_of_training_are_named(run, tmp_path, capsys):
    frame = flows(40)
    frame.write_csv(tmp_path / "like.csv")
    assert main(["score", str(run), str(tmp_path / "like.csv")]) == 0
    assert "unlike" not in capsys.readouterr().err
    text = next(name for name, kind in frame.schema.items() if kind == pl.String)
    number = next(name for name, kind in frame.schema.items() if kind != pl.String)
    frame.with_columns(pl.lit(1e12).alias(number), pl.lit("new").alias(text)).write_csv(tmp_path / "odd.csv")
    assert main(["score", str(run), str(tmp_path / "odd.csv")]) == 0
    err = capsys.readouterr().err
    assert "unlike the data of training" in err
    assert f"{number} in 100.0 % of the rows" in err
    assert f"{text} in 100.0 % of the rows" in err


def test_rows_that_are_not_there_give_a_header_alone(run, tmp_path, capsys):
    flows(3)[:0].write_csv(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    assert capsys.readouterr().out == ",".join(["line", *DECISION]) + "\n"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda text: text.replace("service,flag", "what,flagged", 1), ["service", "flag"]),
        (lambda text: text.replace("service,", "flag,", 1), ["service"]),
        (lambda text: text + "tcp,http\n", ["line 5", "2 columns"]),
        (lambda text: text + text.splitlines()[1].replace(text.splitlines()[1].split(",")[4], "x") + "\n", ["line 5"]),
        (lambda text: text + 'tcp,"http\n', ["line 5"]),
        (lambda text: text.replace("tcp", "tc\0", 1), ["UTF-8"]),
        (lambda text: "", ["empty"]),
        (lambda text: text + "x" * (2 << 20), ["line 5"]),
        (lambda text: "PAR1" + text, ["Parquet"]),
    ],
)
def test_faulty_data_is_one_sentence_and_leaves_no_file(run, tmp_path, monkeypatch, capsys, change, named):
    stdin(monkeypatch, change(flows(3).write_csv()).encode())
    assert main(["score", str(run), "-", "--out", str(tmp_path / "out.csv")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert all(part in err for part in named), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    "arguments", [["--keep", "absent"], ["--keep", "action"], ["--out", "new.csv"], ["--out", "run"], ["--out", "a/b"]]
)
def test_wrong_options_are_one_sentence(run, tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    flows(3).write_csv(tmp_path / "new.csv")
    before = (tmp_path / "new.csv").read_bytes()
    assert main(["score", "run", "new.csv", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert (tmp_path / "new.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.csv", "run"]


def test_a_reader_that_hangs_up_is_no_error(run, tmp_path, monkeypatch, capsys):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as closed:
        monkeypatch.setattr("sys.stdout", types.SimpleNamespace(buffer=closed, fileno=closed.fileno))
        flows(3).write_csv(tmp_path / "new.csv")
        assert main(["score", str(run), str(tmp_path / "new.csv")]) == 0
    assert capsys.readouterr().err == ""


def test_columns_of_lists_are_refused(run, tmp_path, capsys):
    flows(2).with_columns(service=pl.Series([["a"], ["b"]])).write_parquet(tmp_path / "new.parquet")
    assert main(["score", str(run), str(tmp_path / "new.parquet")]) == 2
    assert "service" in capsys.readouterr().err
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    assert main(["score", str(run), str(tmp_path / "bad.parquet")]) == 2
    assert main(["score", str(run), str(tmp_path / "absent.csv")]) == 2


def test_a_damaged_preprocessing_is_named(run, tmp_path, capsys):
    flows(2).write_csv(tmp_path / "new.csv")
    write_json(run / "preprocessing.json", {"numeric": []})
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 2
    assert "preprocessing.json is not the file that training wrote" in capsys.readouterr().err
    record_files(run)
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 2
    assert "preprocessing.json" in capsys.readouterr().err
    (run / "preprocessing.json").unlink()
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 2
    (run / "preprocessing.json").symlink_to(tmp_path / "new.csv")
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 2
    assert "link" in capsys.readouterr().err


def test_runs_without_rows_are_refused(run, tmp_path, capsys):
    flows(2).write_csv(tmp_path / "new.csv")
    other = write_run(tmp_path / "pole").path
    assert main(["score", str(other), str(tmp_path / "new.csv")]) == 2
    assert "cartpole" in capsys.readouterr().err
    config = (run / "config.yaml").read_text().replace("alert_window: 0", "alert_window: 50")
    (run / "config.yaml").write_text(config)
    assert main(["score", str(run), str(tmp_path / "new.csv")]) == 2
    assert "alert_window" in capsys.readouterr().err


@pytest.mark.parametrize("tail", ["", ",normal", ",normal,20"])
def test_rows_of_nsl_kdd_need_no_header(tail):
    numeric = (Numeric(name="src_bytes", scale=None, mean=0.0, std=100.0),)
    categorical = (Categorical(name="service", levels=("http", "smtp")),)
    fitted = FittedPreprocessing(numeric=numeric, categorical=categorical, dropped=(), clip=CLIP)
    reader = FlowRows(threat.Config(data="nsl_kdd", path="gone"), fitted)
    row = f"0,tcp,http,SF,{','.join(['250'] * 37)}{tail}\n"
    (chunk,) = reader.chunks(io.BytesIO((row * 2).encode()), ())
    assert chunk.position == [1, 2]
    assert chunk.observations.tolist() == [[2.5, 1.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize("name", ["onnx:policy.onnx", "policy.onnx", "random"])
def test_a_policy_without_its_run_is_not_scored(tmp_path, capsys, name):
    flows(5).write_csv(tmp_path / "new.csv")
    assert main(["score", name, str(tmp_path / "new.csv")]) == 2
    assert f"{name} is a policy without its run" in " ".join(capsys.readouterr().err.split())


def test_a_small_validation_part_still_tells_sure_flows_from_others():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 72)
    share = isotonic_regression(np.where(label == 1, 0.9, 0.1) + 0.05 * rng.random(72), label)
    assert share(np.array([0.1]))[0] < 0.1
    assert share(np.array([0.94]))[0] > 0.9
