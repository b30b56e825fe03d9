"""Reading a run directory: its judged snapshot, damaged files, links, limits, and finding runs."""

import json
import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval import run
from rl_eval.errors import InputError
from tests.run.values import JSON, edit_info


def test_the_judged_snapshot_is_the_one_named_else_the_last_by_number(run_directory):
    assert run.read_run(run_directory).judged_snapshot() == run_directory / "snapshots" / "step_20"
    edit_info(run_directory, snapshot=None)
    assert run.read_run(run_directory).judged_snapshot() == run_directory / "snapshots" / "step_100"
    assert [path.name for path in run.read_run(run_directory).snapshots()] == ["step_20", "step_100"]
    edit_info(run_directory, snapshot="step_7")
    with pytest.raises(InputError, match=r"run names 'step_7' as its policy, but has no such snapshot: train again"):
        run.read_run(run_directory).judged_snapshot()
    for path in run.read_run(run_directory).snapshots():
        run.remove_directory(path)
    edit_info(run_directory, snapshot=None)
    with pytest.raises(InputError, match=r"has no snapshot: continue training with `python train\.py resume=.*run`"):
        run.read_run(run_directory).judged_snapshot()
    assert not list((run_directory / "snapshots").iterdir())


@pytest.mark.parametrize(
    ("edited", "own"),
    [
        ({"seed": 4}, False),
        ({"total_steps": 128}, False),
        ({"env": {"name": "cartpole", "sutton": 1}}, False),
        ({"agent": {"lr": 1e-5}}, True),
        ({"name": "another"}, True),
        ({"judge": "off"}, True),
    ],
)
@pytest.mark.parametrize("status", run.STATUSES)
def test_a_run_whose_config_is_not_the_one_it_was_trained_with_has_no_judged_policy(run_directory, edited, own, status):
    trained = {"env": {"name": "cartpole"}, "agent": {"lr": 1e-5}, "seed": 3, "total_steps": 64, "name": "run"}
    edit_info(run_directory, config_hash=run.config_hash(trained), status=status)
    run.write_text(run_directory / "config.yaml", yaml.safe_dump({**trained, **edited}))
    read = run.read_run(run_directory)
    assert read.has_own_config == own
    if own:
        assert read.judged_snapshot().name == "step_20"
    else:
        with pytest.raises(InputError, match=r"config\.yaml is not what the run was trained with"):
            read.judged_snapshot()


@pytest.mark.parametrize(
    "snapshot",
    ["..", ".", "", "/", "../../outside/step_1", "snapshots/step_20", "step_20/..", "step_1/../../x", 20, []],
)
def test_a_name_in_run_json_cannot_climb_out_of_the_run(run_directory, tmp_path, snapshot):
    run.write_checkpoint(tmp_path / "outside" / "step_1", "policy", {}, {})
    run.write_checkpoint(run_directory / "step_1", "policy", {}, {})
    edit_info(run_directory, snapshot=snapshot)
    with pytest.raises(InputError, match="but has no such snapshot"):
        run.read_run(run_directory).judged_snapshot()


def test_a_link_among_the_snapshots_is_none(run_directory, tmp_path):
    run.write_checkpoint(tmp_path / "outside" / "step_500", "policy", {}, {})
    (run_directory / "snapshots" / "step_500").symlink_to(tmp_path / "outside" / "step_500")
    edit_info(run_directory, snapshot="step_500")
    with pytest.raises(InputError, match="but has no such snapshot"):
        run.read_run(run_directory).judged_snapshot()
    edit_info(run_directory, snapshot=None)
    assert run.read_run(run_directory).judged_snapshot().name == "step_100"


def test_step_names_are_integers(tmp_path):
    for name in ("step_3", "step_20", ".step_4.1.tmp", "step_", "step_x", "step_²", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "step_5").write_text("a file")
    assert [path.name for path in run.step_directories(tmp_path)] == ["step_3", "step_20"]
    assert run.step_directories(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "run.json").unlink(), "is not a run directory .*name one that train.py made"),
        (lambda path: (path / "config.yaml").unlink(), "is not a run directory"),
        (lambda path: (path / "run.json").write_text("{"), r"run\.json cannot be read as JSON"),
        (
            lambda path: edit_info(path, status="done"),
            r"status 'done', not one of running, finished, failed, interrupted",
        ),
        (lambda path: edit_info(path, status=[]), r"status \[\], not one of"),
        (lambda path: (path / "config.yaml").write_text("env: [1"), r"config\.yaml.* (not valid YAML|cannot be read)"),
        (lambda path: (path / "config.yaml").write_bytes(b"\xff"), r"config\.yaml.* (not valid YAML|cannot be read)"),
        (lambda path: (path / "config.yaml").write_text("seed: 1"), r"config\.yaml has no `env:` section"),
        (
            lambda path: (path / "config.yaml").write_text("env: !!python/object/apply:os.getcwd []"),
            r"config\.yaml.* (not valid YAML|cannot be read)",
        ),
    ],
)
def test_a_directory_that_is_not_a_complete_run_is_refused(run_directory, damage, message):
    run.read_run(run_directory)
    damage(run_directory)
    with pytest.raises(InputError, match=message) as error:
        run.read_run(run_directory)
    assert "\n" not in str(error.value)


def test_runs_are_found_by_when_they_started_and_other_folders_are_passed_over(run_directory, tmp_path):
    for i, (name, started) in enumerate([("sweep/1_lr=1", "2026-01-01"), ("sweep/0_lr=2", "2026-01-03")]):
        path = tmp_path / name
        path.mkdir(parents=True)
        run.write_json(path / "run.json", {"status": "failed", "started": started, "n": i})
        run.write_text(path / "config.yaml", "env: {name: cartpole}\n")
    for name, content in (("foreign", '{"version": 3}'), ("half", "{"), ("empty", "")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(content)
        (tmp_path / name / "config.yaml").write_text("env: {}")
    (tmp_path / "folder" / "run.json").mkdir(parents=True)
    (tmp_path / "begun").mkdir()
    run.write_json(tmp_path / "begun" / "run.json", {"status": "running"})
    found, passed_over = run.find_runs(tmp_path)
    assert [entry.path.name for entry in found] == ["1_lr=1", "run", "0_lr=2"]
    assert [
        str(tmp_path / name) in sentence
        for name, sentence in zip(("empty", "foreign", "half"), passed_over, strict=True)
    ] == [True] * 3
    assert run.find_runs(tmp_path / "nowhere") == ([], [])


@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "config.yaml",
        "snapshots/step_20/policy.safetensors",
        "snapshots/step_20/policy.json",
        "snapshots/step_20/policy.sha256",
    ],
)
def test_a_file_that_is_no_regular_file_is_refused(run_directory, name):
    (run_directory / name).unlink()
    os.mkfifo(run_directory / name)
    with pytest.raises(InputError, match=name.rpartition("/")[2].replace(".", r"\.")):
        run.read_checkpoint(run.read_run(run_directory).judged_snapshot(), "policy")


@pytest.mark.parametrize(
    "config", ["env: {name: cartpole}\nseed: [1]", "env: {name: cartpole}\n1: 2", "env: {name: cartpole, 1: 2}"]
)
def test_a_config_of_other_types_is_refused(run_directory, config):
    (run_directory / "config.yaml").write_text(config)
    with pytest.raises(InputError, match=r"config\.yaml"):
        run.read_run(run_directory)


CONFIGS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)  # too short for a key that decides nothing


@settings(max_examples=50)
@given(config=CONFIGS, other=CONFIGS, name=st.text(max_size=5))
def test_the_config_hash_is_of_what_decides_the_bytes(config, other, name):
    renamed = {**config, "name": name, "tracker": {"name": "wandb"}, "resume": "x"}
    assert run.config_hash(renamed) == run.config_hash(config)
    assert run.config_hash(dict(reversed(config.items()))) == run.config_hash(config)
    differ = json.dumps(config, sort_keys=True) != json.dumps(other, sort_keys=True)
    assert (run.config_hash(config) != run.config_hash(other)) == differ


@pytest.mark.parametrize("name", ["run.json", "config.yaml"])
def test_a_link_instead_of_a_file_is_refused(run_directory, tmp_path, name):
    (run_directory / name).rename(tmp_path / name)
    (run_directory / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match="is a link"):
        run.read_run(run_directory)
    assert run.find_runs(tmp_path)[0] == []


ALIASES = "a0: &a0 [1, 1, 1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: " + "a" * (256 << 10), "larger than 256 KiB"),
        (ALIASES, "expands to more than"),
        ("x: [" + "1, " * 6000 + "]", "5,000"),
        ("x: &x {again: *x}", "contains itself"),
        ("x: " + "[" * 5000 + "]" * 5000, "nested deeper"),
        ("k" * 201 + ": 1", "keys too long"),
    ],
)
def test_a_config_that_is_too_large_is_refused(run_directory, text, message):
    (run_directory / "config.yaml").write_text(f"env: {{name: cartpole}}\n{text}\n")
    with pytest.raises(InputError, match=message):
        run.read_run(run_directory)


def test_the_environment_of_a_run_is_checked(run_directory):
    assert run.environment_of(run.read_run(run_directory)).name == "cartpole"
    (run_directory / "config.yaml").write_text("env: {name: cartpole, wings: 2}\n")
    with pytest.raises(InputError, match=r"env\.wings"):
        run.environment_of(run.read_run(run_directory))
