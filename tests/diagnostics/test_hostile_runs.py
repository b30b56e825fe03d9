"""Run directories from anyone: nothing in them runs, and errors are clear messages."""

import json
import os
import time

import numpy as np
import pytest
import yaml

from rl_eval.cli import main
from rl_eval.diagnostics import all_findings, lookup, read
from rl_eval.errors import InputError
from rl_eval.run import write_json

ESCAPES = "<script>alert(1)</script>\x1b[31m[bold]${env:HOME}"


def finding_names(run):
    """The names of the findings, except for missing numbers: these directories are almost empty."""
    return [finding.name for finding in all_findings(run) if finding.name != "numbers_disagree"]


def write(directory, *, config=None, info=None, metrics="env_steps,value_loss\n1,1\n2,1\n"):
    """A run directory by hand."""
    directory.mkdir()
    values = {"env": {"name": "cartpole"}, "agent": {"gamma": 0.99}, "seed": 1, **(config or {})}
    (directory / "config.yaml").write_text(yaml.safe_dump(values))
    write_json(directory / "run.json", {"status": "finished", "env_steps": 2, **(info or {})})
    if metrics is not None:
        (directory / "metrics.csv").write_text(metrics)
    return directory


def test_terminal_escapes_and_markup_in_names_are_shown_as_text(tmp_path, capsys):
    run = write(tmp_path / "run", info={"status": "failed", "reason": f"loss is nan {ESCAPES}"})
    assert main(["doctor", str(run)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "<script>alert(1)</script>" in out
    assert "[bold]" in out
    assert main(["doctor", str(run), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert "gradients_explode" in [finding["name"] for finding in printed["findings"]]


@pytest.mark.parametrize("cell", ["nan", "inf", "", "1e400", "=cmd|' /C calc'!A0", "\x00"])
def test_a_table_without_numbers_gives_no_finding(tmp_path, cell):
    names = ["env_steps", "explained_variance", "value_loss", "entropy", "action/0", "action/1", "approx_kl"]
    names += ["grad_norm", "initial_kl", "stale_kl", "repeated", "dormant_share", "greedy_share", "episode_return_mean"]
    rows = "\n".join([",".join(names), *[",".join([cell] * len(names))] * 30])
    assert finding_names(read(write(tmp_path / "run", metrics=rows + "\n"))) == []


def test_an_environment_that_imports_a_module_is_not_made(tmp_path):
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = {"env": {"name": "gym", "id": "stranger:Env-v0"}, "reward": {"terms": {"x": {"_target_": "os.system"}}}}
    run = read(write(tmp_path / "run", config=config))
    assert finding_names(run) == []
    assert any("--trust" in sentence for sentence in run.missing)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("snapshot", ["../../elsewhere", "/etc", "step_1/../../x", 7])
def test_a_snapshot_that_climbs_is_not_followed(tmp_path, snapshot):
    run = write(tmp_path / "run", info={"snapshot": snapshot})
    (run / "snapshots").mkdir()
    run = read(run)
    assert run.snapshot is None
    assert run.played is None


def test_links_are_refused(tmp_path):
    for name in ("metrics.csv", "config.yaml", "run.json"):
        run = write(tmp_path / name.replace(".", "_"))
        (run / name).rename(tmp_path / f"outside_{name}")
        (run / name).symlink_to(tmp_path / f"outside_{name}")
        with pytest.raises(InputError, match="is a link"):
            read(run)


def test_a_huge_table_is_refused_at_once(tmp_path, capsys):
    run = write(tmp_path / "run")
    os.truncate(run / "metrics.csv", 1 << 30)  # sparse: no disk is used
    assert main(["doctor", str(run)]) == 2
    assert "larger than 256 MiB" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("metrics", "message"),
    [("a,a\n1,2\n", "a column twice"), (",".join(map(str, range(300))) + "\n", "more than 200 columns")],
)
def test_what_is_no_table_of_metrics_is_refused(tmp_path, metrics, message):
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / "run", metrics=metrics))


def test_yaml_that_multiplies_itself_or_makes_objects_is_refused(tmp_path):
    run = write(tmp_path / "run")
    (run / "config.yaml").write_text("env: {name: cartpole}\na: " + "x" * (300 << 10))
    with pytest.raises(InputError, match="not the config of a run"):
        read(run)
    (run / "config.yaml").write_text("env: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match="not valid YAML"):
        read(run)


def test_a_run_with_only_a_name_gives_no_finding(tmp_path):
    run = read(write(tmp_path / "run", metrics=None))
    assert finding_names(run) == []
    assert any("metrics.csv does not exist" in sentence for sentence in run.missing)


def test_an_unknown_diagnostic_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'critic_ceiling'"):
        lookup("critic_celing")


def test_a_hundred_thousand_rows_take_less_than_two_seconds_of_work(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"column_{i}" for i in range(24)]
    table = np.column_stack([np.arange(1, 100_001), rng.normal(size=(100_000, 24))])
    text = ",".join(["env_steps", *names]) + "\n" + "\n".join(",".join(map(repr, row)) for row in table.tolist()) + "\n"
    run = write(tmp_path / "run", info={"env_steps": 100_000}, metrics=text)
    before = time.process_time()  # of this process alone, whatever else the machine does
    run = read(run)
    all_findings(run)
    assert len(run.curves["env_steps"]) == 100_000
    assert time.process_time() - before < 2.0
