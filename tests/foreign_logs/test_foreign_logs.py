"""Logs of other programs as doctor reads them: files of Stable-Baselines3, and tables with mapped columns."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl_eval.diagnostics import all_findings, read
from rl_eval.errors import InputError
from rl_eval.foreign_logs import parse_columns

STEPS = 2048


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The logs of a short training with the PPO of Stable-Baselines3 on two CartPoles."""
    pytest.importorskip("stable_baselines3")
    import gymnasium as gym
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    folder = tmp_path_factory.mktemp("sb3")
    copies = [lambda i=i: Monitor(gym.make("CartPole-v1"), str(folder / str(i))) for i in range(2)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = PPO("MlpPolicy", DummyVecEnv(copies), n_steps=128, n_epochs=2, seed=0, device="cpu")
    model.set_logger(configure(str(folder), ["csv", "tensorboard"]))
    model.learn(STEPS)
    torch.set_num_threads(threads)
    return folder


def test_progress_csv_is_read_under_our_names(logs):
    run = read(logs / "progress.csv")
    assert list(run.curves["env_steps"]) == list(range(256, STEPS + 1, 256))
    assert {"value_loss", "explained_variance", "approx_kl", "clip_fraction", "lr", "entropy"} <= run.curves.keys()
    assert 0 < run.curve("entropy").max() <= np.log(2) + 1e-6
    assert run.info["env_steps"] == STEPS


def test_monitor_files_are_laid_side_by_side(logs):
    both = read(logs).info["steps_finished"]
    runs = [read(logs / f"{i}.monitor.csv") for i in range(2)]
    assert both == sum(run.info["steps_finished"] for run in runs)
    assert STEPS - 2 * 500 <= both <= STEPS
    for run in runs:
        assert (np.diff(run.curves["env_steps"]) > 0).all()
        assert (np.diff(run.curves["wall_s"]) >= 0).all()


def test_the_mean_return_is_the_one_that_stable_baselines3_logs(logs, tmp_path):
    """Its own mean over the last 100 episodes, at the last row, from the monitors' returns alone."""
    for file in logs.glob("*.monitor.csv"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    run_value = read(tmp_path).curves["episode_return_mean"][-1]
    log_values = read(logs / "progress.csv").curve("episode_return_mean")
    assert min(abs(log_values - run_value)) < 0.05 * run_value  # episodes of one rollout may be in another order


def test_a_folder_of_both_has_the_curves_of_one_and_the_count_of_the_other(logs):
    run = read(logs)
    assert "value_loss" in run.curves
    assert 0 < run.info["steps_finished"] <= run.info["env_steps"]


def test_event_files_have_the_numbers_of_progress_csv_at_the_same_steps(logs, tmp_path):
    (event_file,) = logs.glob("*tfevents*")
    (tmp_path / event_file.name).write_bytes(event_file.read_bytes())
    table, events = read(logs / "progress.csv"), read(tmp_path)
    assert events.info == {"env_steps": STEPS}
    names = {"env_steps", "value_loss", "explained_variance", "approx_kl", "clip_fraction", "lr", "entropy"}
    for name in names | {"episode_return_mean", "episode_length_mean"}:
        np.testing.assert_allclose(events.curve(name), table.curve(name), rtol=1e-5, err_msg=name)
    assert all_findings(events) == all_findings(read(event_file))


def test_diagnostics_that_need_curves_alone_work_on_them(logs):
    assert [f.name for f in all_findings(read(logs)) if f.severity == "problem"] == []


def test_a_value_loss_that_explains_nothing_is_seen_in_a_progress_csv(tmp_path):
    """As the real header, with the critic of a published report: it never explained anything."""
    rows = [f"{2048 * (i + 1)},{0.0 + 0.001 * (i % 3)},465.0" for i in range(40)]
    header = "time/total_timesteps,train/explained_variance,train/value_loss"
    (tmp_path / "progress.csv").write_text("\n".join([header, *rows]) + "\n")
    assert "critic_explains_nothing" in [finding.name for finding in all_findings(read(tmp_path))]


def table(folder, text):
    file = folder / "log.csv"
    file.write_text(text)
    return file


def test_any_table_is_read_with_its_columns_mapped(tmp_path):
    file = table(tmp_path, "step,vf,other\n1,2.5,x\n2,,y\n")
    run = read(file, columns=parse_columns("env_steps=step, value_loss=vf"))
    assert list(run.curves["env_steps"]) == [1, 2]
    assert run.curves["value_loss"][0] == 2.5
    assert np.isnan(run.curves["value_loss"][1])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("env_steps=steps", "has no column 'steps': did you mean 'step'"),
        ("value_loss=vf", "has no column env_steps: name the one that counts steps"),
        ("env_steps", "is not name=column"),
        ("env_steps=step,env_steps=vf", "is not name=column"),
        ("=step", "is not name=column"),
        ("", "is not name=column"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(tmp_path, columns, message):
    file = table(tmp_path, "step,vf\n1,2\n")
    with pytest.raises(InputError, match=message):
        read(file, columns=parse_columns(columns))


@pytest.mark.parametrize(
    "first", ["#{", '#{"env_id": "x"}', '#{"t_start": "<script>"}', "#" + "[" * 60_000, '#{"t_start": 1e999']
)
def test_a_monitor_with_a_damaged_first_line_is_refused(tmp_path, first):
    (tmp_path / "monitor.csv").write_text(first + "\nr,l,t\n1,1,1\n")
    with pytest.raises(InputError, match=r"t_start|cannot be read|has no column"):
        read(tmp_path)


def test_a_monitor_that_has_just_begun_is_read(tmp_path):
    (tmp_path / "monitor.csv").write_text('#{"t_start": 1.0, "env_id": "None"}\nr,l,t\n')
    assert all_findings(read(tmp_path)) == []


def test_a_path_without_a_run_is_an_error_with_advice(tmp_path):
    with pytest.raises(InputError, match="is not a directory: name a run directory"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not a run directory"):
        read(tmp_path)


def hostile(folder: Path) -> Path:
    """A run in which an attacker chose every value."""
    folder.mkdir()
    script = "<script>alert(1)</script>"
    info = {"schema": 1, "status": "finished", "name": script, "env": script, "snapshot": "../../../etc/passwd"}
    info |= {"results": {"mean": script, "std": None, "episodes": 10**400}, "env_steps": script, "episodes": -1}
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "config.yaml").write_text(
        f"env: {{name: gym, id: 'os:CartPole-v1', success_return: .nan}}\nseed: -5\n"
        f"validation: {{metric: {script!r}}}\n"
        f"reward: {{range: [{script!r}], terms: {{a: {{_target_: os.system, command: 'touch hacked'}}}}}}\n"
        "agent: {normalize_obs: true, gamma: .inf}\n"
    )
    header = f"env_steps,episode_return_mean,validation_score,reward/{script}"
    (folder / "metrics.csv").write_text(header + "\n" + "nan,nan,nan,nan\n" * 50)
    (folder / "verdict.json").write_text(
        '{"schema": 1, "suites": [{"criteria": [{"metric": ["x"], "threshold": {}}, 3]}]}'
    )
    return folder


def test_a_hostile_run_runs_nothing_and_breaks_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = hostile(tmp_path / "run")
    findings = all_findings(read(run))
    assert all(isinstance(finding.evidence, str) for finding in findings)
    assert seed_luck_of(run) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def seed_luck_of(run):
    from rl_eval.diagnostics import seed_luck

    return seed_luck([read(run), read(run)])


@pytest.mark.parametrize("name", ["metrics.csv", "progress.csv", "monitor.csv"])
def test_a_file_of_a_gigabyte_is_refused_at_once(tmp_path, name):
    run = hostile(tmp_path / "run") if name == "metrics.csv" else tmp_path
    with open(run / name, "wb") as file:
        file.write(b'#{"t_start": 0}\nr,l,t\n' if name == "monitor.csv" else b"time/total_timesteps,env_steps\n")
        file.truncate(1 << 30)
    with pytest.raises(InputError, match=r"is larger than 256 MiB"):
        read(run)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret.csv").write_text("time/total_timesteps\n1\n")
    log = tmp_path / "log"
    log.mkdir()
    (log / "progress.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(InputError, match="is a link"):
        read(log)
