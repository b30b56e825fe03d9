"""Configs of a person's own next to ours: `--config-dir` and `hydra.searchpath`."""

from pathlib import Path

import pytest

from rl_eval.command_line import read_command_line, read_overrides
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.launch import plan
from rl_eval.search_path import add_folder, search_folders

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"


@pytest.fixture
def config_folder(tmp_path):
    """A folder with an environment, its reward and settings that suit an agent on it."""
    folder = tmp_path / "it's my conf"  # a quote and spaces, which Hydra's grammar must be told of
    for name, text in {
        "env/acrobot.yaml": "name: gym\nid: Acrobot-v1\nsuccess_return: -100\n",
        "reward/acrobot.yaml": "defaults: [native]\n",
        "tuned/acrobot_ppo.yaml": "# @package _global_\ntotal_steps: 123\n",
        "tuned/mine.yaml": "# @package _global_\ntotal_steps: 456\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def quoted(folder):
    return "'file://" + str(folder).replace("'", r"\'") + "'"


def test_config_dir_adds_groups_to_ours(config_folder):
    line = read_command_line(["env=acrobot", "--config-dir", str(config_folder)])
    assert line.overrides == ["env=acrobot"]
    values = compose(CONF, add_folder(line.overrides, line.config_dir))
    assert values["env"]["id"] == "Acrobot-v1"
    assert list(values["reward"]["terms"]) == ["native"]
    assert values["total_steps"] == 123
    assert values["agent"]["name"] == "ppo"


def test_the_search_path_of_an_override_does_the_same(config_folder):
    values = compose(CONF, ["env=acrobot", f"hydra.searchpath=[{quoted(config_folder)}]"])
    assert (values["env"]["id"], values["total_steps"]) == ("Acrobot-v1", 123)


def test_both_are_searched_config_dir_first(config_folder, tmp_path):
    other = tmp_path / "other"
    (other / "env").mkdir(parents=True)
    for name in ("acrobot", "second"):
        (other / "env" / f"{name}.yaml").write_text("name: gym\nid: MountainCar-v0\n")
    overrides = add_folder([f"hydra.searchpath=[{quoted(other)}]"], config_folder)
    assert search_folders(CONF, read_overrides(overrides)) == [CONF, config_folder, other]
    assert compose(CONF, [*overrides, "env=acrobot"])["env"]["id"] == "Acrobot-v1"
    assert compose(CONF, [*overrides, "env=second", "reward=native"])["env"]["id"] == "MountainCar-v0"


def test_every_job_of_a_sweep_is_checked_with_it(config_folder):
    jobs = plan(CONF, ROOT / "suites", ["env=acrobot", "seed=1,2", "total_steps=100"], True, config_folder)
    assert [job.values["env"]["id"] for job in jobs] == ["Acrobot-v1"] * 2
    assert [job.folder for job in jobs] == ["0_seed=1", "1_seed=2"]


def test_custom_tuned_settings_are_options(config_folder):
    (job,) = plan(CONF, ROOT / "suites", ["env=cartpole", "tuned=mine"], False, config_folder)
    assert job.values["total_steps"] == 456
    with pytest.raises(InputError, match=r"tuned=min is not an option: did you mean 'mine'"):
        plan(CONF, ROOT / "suites", ["env=cartpole", "tuned=min"], False, config_folder)


@pytest.mark.parametrize("flags", [["--config-dir", "nowhere"], ["-cd", "nowhere"], ["--config-dir=nowhere"]])
def test_a_folder_that_is_not_there_is_one_sentence(flags):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        read_command_line(flags)


@pytest.mark.parametrize("value", ["[file://nowhere]", "nowhere", "3", "[1]", "[", "{a: 1}"])
def test_a_search_path_that_is_no_list_of_folders_is_one_sentence(value):
    with pytest.raises(InputError) as error:
        compose(CONF, ["env=cartpole", f"hydra.searchpath={value}"])
    assert "\n" not in str(error.value)
