"""Runs of other programs: CleanRL's event files, logs of Stable-Baselines3, and what a comparison of them claims."""

import json

import numpy as np
import pytest

from rl_eval.cli import main
from rl_eval.compare import compare_runs
from rl_eval.compare.other_runs import other_run
from rl_eval.errors import InputError
from tests.foreign_logs.event_logs import write_cleanrl
from tests.gates.fake_runs import write_run

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
pytest.importorskip("torch", reason="the extra train is not installed")

SEEDS = range(1, 7)
EPISODES = 120


@pytest.fixture(scope="module")
def cleanrl(tmp_path_factory):
    """Two folders of CleanRL's runs: `slow` with a learning rate of 1e-5, `fast` with 1e-3; six seeds each."""
    folder = tmp_path_factory.mktemp("cleanrl")
    for name, learning_rate, level in (("slow", 1e-5, 20.0), ("fast", 1e-3, 200.0)):
        for seed in SEEDS:
            returns = level + seed + np.zeros(EPISODES)
            write_cleanrl(folder / name, returns, seed=seed, learning_rate=learning_rate)
    return folder


def write_progress(folder, last, steps=4000):
    """`progress.csv` of Stable-Baselines3."""
    folder.mkdir(parents=True)
    rows = [f"{step},{last * step / steps},{0.5}" for step in range(1000, steps + 1, 1000)]
    header = "time/total_timesteps,rollout/ep_rew_mean,train/value_loss"
    (folder / "progress.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def write_monitor(folder, value, env_id="CartPole-v1"):
    folder.mkdir(parents=True)
    header = json.dumps({"t_start": 1.0, "env_id": env_id})
    rows = "".join(f"{value},10,{index}.0\n" for index in range(1, 50))
    (folder / "monitor.csv").write_text(f"#{header}\nr,l,t\n{rows}")
    return folder


def compare(*paths, **options):
    return compare_runs([str(path) for path in paths], **options)


def test_too_few_runs_for_a_claim_make_no_empty_table(tmp_path, capsys):
    for name, learning_rate in (("slow", 1e-5), ("fast", 1e-3)):
        for seed in SEEDS[:3]:
            write_cleanrl(tmp_path / name, seed + np.zeros(EPISODES), seed=seed, learning_rate=learning_rate)
    assert main(["compare", str(tmp_path / "slow"), str(tmp_path / "fast")]) == 0
    output = capsys.readouterr().out
    assert "UNDECIDED" in output
    assert "candidate against baseline" not in output


def test_runs_of_cleanrl_form_groups_by_their_settings(cleanrl, capsys):
    assert main(["compare", str(cleanrl / "slow"), str(cleanrl / "fast"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["env"], result["metric"], result["episodes"]) == ("CartPole-v1", "episode_return_mean", None)
    assert result["differences"] == {"learning_rate": ["1e-05", "0.001"]}
    assert [group["label"] for group in result["groups"]] == ["learning_rate=1e-05", "learning_rate=0.001"]
    assert [run["seed"] for run in result["groups"][1]["runs"]] == list(SEEDS)
    assert [run["score"] for run in result["groups"][1]["runs"]] == pytest.approx([200 + seed for seed in SEEDS])
    (comparison,) = result["comparisons"]
    assert (comparison["decision"], comparison["wins"]["p_above"]) == ("WINS", pytest.approx(1 / 64))
    assert comparison["over_episodes"] is comparison["mean"] is None
    (note,) = result["notes"]
    assert "recorded episode_return_mean of training (a mean of the last 100 episodes in known columns)" in note
    assert "not paired and not on held-out episodes" in note


def test_the_page_and_the_tables_name_what_is_compared(cleanrl, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["compare", str(cleanrl / "slow"), str(cleanrl / "fast"), "--html", str(page)]) == 0
    assert "episode_return_mean on CartPole-v1 (higher is better), recorded final results" in capsys.readouterr().out
    assert "Scores are recorded final results." in page.read_text()


def test_the_name_of_a_run_of_cleanrl_is_enough(tmp_path):
    for algorithm in ("ppo", "dqn"):
        for seed in (1, 2):
            write_cleanrl(tmp_path, [seed], seed=seed, algorithm=algorithm, settings=False)
    result = compare(tmp_path)
    assert [(group.label, group.seeds) for group in result.groups] == [
        ("exp_name=dqn", (1, 2)),
        ("exp_name=ppo", (1, 2)),
    ]
    assert result.task.env_name == "CartPole-v1"


def test_a_log_that_ends_without_a_number_says_so(tmp_path):
    for name, last in (("a", "nan"), ("b", "inf"), ("c", "9")):
        (tmp_path / f"{name}.csv").write_text(f"env_steps,episode_return_mean\n1000,20\n2000,30\n3000,{last}\n")
    for name in "ab":
        notes = compare(tmp_path / f"{name}.csv", tmp_path / "c.csv").notes
        assert any(f"no number at the end of {tmp_path / name}.csv" in note for note in notes)
    assert not any("no number" in note for note in compare(tmp_path / "c.csv").notes)


def test_logs_without_a_config_form_groups_by_their_folders(tmp_path):
    for number in (1, 2):
        write_progress(tmp_path / "logs" / f"PPO_{number}", 10.0 * number)
        write_progress(tmp_path / "logs" / f"DQN_{number}", 5.0 * number, steps=8000)
    result = compare(tmp_path / "logs")
    assert [group.label for group in result.groups] == ["folder=DQN", "folder=PPO"]
    assert [scores.values.tolist() for scores in result.scores] == [[5.0, 10.0], [10.0, 20.0]]
    assert "the runs end at 4,000 to 8,000 steps, and are compared at their ends" in result.notes
    assert result.curves.keys() == {"episode_return_mean"}


@pytest.mark.parametrize(
    ("folders", "groups"),
    [
        (["old/PPO_1", "old/PPO_2", "new/PPO_1"], ["old/PPO", "new/PPO"]),
        (["ppo/seed_1", "ppo/seed_2", "dqn/seed_1"], ["ppo", "dqn"]),
        (["seed1/PPO_1", "seed2/PPO_1"], ["PPO"]),
        (["ppo/1", "ppo/2"], ["ppo"]),
        (["lr1e-3", "lr1e-4"], ["lr1e-3", "lr1e-4"]),
        (["gamma_0.99", "gamma_0.95"], ["gamma_0.99", "gamma_0.95"]),
        (["CartPole-v1", "CartPole-v0"], ["CartPole-v1", "CartPole-v0"]),
    ],
)
def test_a_number_at_the_end_of_a_folder_is_that_of_a_repetition(folders, groups):
    from rl_eval.compare.groups import group_runs
    from rl_eval.compare.other_runs import shorten_folders

    (runs,) = shorten_folders([other_run(name, {}, {}, (), f"/home/me/{name}") for name in folders])
    assert [group.runs[0].config["folder"] for group in group_runs(runs)] == groups


def test_what_says_nothing_of_the_training_makes_no_groups():
    settings = [
        {"seed": 1, "lr": 0.1, "track": True, "policy": "<Policy object at 0x7f1>", "_last_obs": "[1]"},
        {"seed": 2, "lr": 0.1, "track": False, "policy": "<Policy object at 0x7f2>", "_last_obs": "[2]"},
    ]
    runs = [other_run(str(index), config, {}, (), "name") for index, config in enumerate(settings)]
    assert [run.config for run in runs] == [{"seed": 1, "lr": 0.1}, {"seed": 2, "lr": 0.1}]


def test_a_run_of_ours_is_compared_by_its_recorded_return(tmp_path):
    ours = write_run(tmp_path / "run")
    (ours.path / "metrics.csv").write_text("env_steps,episode_return_mean\n1000,20\n2000,30\n")
    result = compare(write_progress(tmp_path / "PPO_1", 25.0), ours.path)
    assert [scores.values.tolist() for scores in result.scores] == [[25.0], [30.0]]
    assert result.episodes is None


def test_a_baseline_is_named_as_for_other_runs(tmp_path):
    old, new = (write_progress(tmp_path / name / "PPO_1", 10.0) for name in ("old", "new"))
    result = compare(new, baseline=[str(old)])
    assert [group.runs[0].name for group in result.groups] == [str(old), str(new)]


def test_monitors_and_other_columns_are_compared_too(tmp_path):
    runs = [write_monitor(tmp_path / f"{name}_1", value) for name, value in (("A", 3.0), ("B", 4.0))]
    assert [scores.values.tolist() for scores in compare(*runs).scores] == [[3.0], [4.0]]
    (tmp_path / "mine.csv").write_text("step,reward\n10,1\n20,7\n")
    result = compare(tmp_path / "mine.csv", columns={"env_steps": "step", "episode_return_mean": "reward"})
    assert result.scores[0].values.tolist() == [7.0]


def refusal(*paths, **options):
    with pytest.raises(InputError) as raised:
        compare(*paths, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_missing_column_is_one_sentence_with_those_that_are_there(tmp_path):
    run = write_progress(tmp_path / "PPO_1", 1.0)
    message = refusal(run, metric="success_rate")
    assert (
        "has no column success_rate: name the one that has the share of successes, --columns success_rate=" in message
    )
    assert message.endswith("it has time/total_timesteps, rollout/ep_rew_mean, train/value_loss")
    assert "has no column 'reward': it has time/total" in refusal(run, columns={"episode_return_mean": "reward"})
    (tmp_path / "mine.csv").write_text("step,reward\n10,1\n")
    assert "has no column env_steps: name the one that counts steps" in refusal(tmp_path / "mine.csv")


def test_what_cannot_be_compared_is_refused(tmp_path, cleanrl):
    one, other = (write_monitor(tmp_path / f"{env}_1", 1.0, env_id=env) for env in ("CartPole-v1", "Acrobot-v1"))
    assert "so their tasks differ: compare runs of one environment" in refusal(one, other)
    assert "--metric f1 is not in the logs of other programs: choose" in refusal(one, metric="f1")
    assert "is not a run directory and has no verdict" in refusal(one, with_verdicts=True)
    ours = write_run(tmp_path / "run")
    assert "none of the runs is one: leave it out" in refusal(ours.path, columns={"env_steps": "step"})
    assert "is not a run directory" in refusal(tmp_path / "run" / "snapshots")


def test_a_folder_of_our_runs_is_no_folder_of_logs(tmp_path):
    """Even where their tracker wrote event files."""
    run = write_run(tmp_path / "night" / "run")
    write_cleanrl(run.path / "tensorboard", [1.0], seed=1)
    assert "is not a run directory" in refusal(tmp_path / "night")
