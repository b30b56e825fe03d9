"""TensorBoard event files: those of CleanRL, and those of a stranger."""

import json
import struct

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.foreign_logs import event_files, find_logs, parse_columns, read_log
from tests.foreign_logs.event_logs import write_cleanrl, write_events

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
pytest.importorskip("torch", reason="the extra train is not installed")


def scalar(tag, value, step=1, **event):
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    return Event(step=step, summary=summary, **event).SerializeToString()


def start(step):
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    return Event(step=step, session_log=SessionLog(status=SessionLog.START)).SerializeToString()


def test_a_run_of_cleanrl_is_read_under_our_names(tmp_path):
    log = read_log(write_cleanrl(tmp_path, range(1, 151), seed=3, learning_rate=2.5e-4), {})
    assert log.settings == {
        "exp_name": "ppo",
        "seed": 3,
        "env_id": "CartPole-v1",
        "track": "False",
        "learning_rate": 2.5e-4,
    }
    assert log.curves["env_steps"].tolist() == [100 * index for index in range(1, 151)]
    returns = log.curves["episode_return_mean"]
    assert (returns[0], returns[99], returns[-1]) == (1.0, 50.5, 100.5)  # of the last 100 episodes
    assert np.isfinite(log.curves["value_loss"]).sum() == 15
    assert log.counts == {"env_steps": 15_000}
    assert set(log.columns) == {
        "charts/episodic_return", "charts/episodic_length", "charts/learning_rate", "losses/value_loss",
        "losses/entropy",
    }  # fmt: skip


def test_episodes_that_end_at_the_same_step_all_count(tmp_path):
    write_events(tmp_path / "events.out.tfevents.1", *(scalar("charts/episodic_return", value) for value in (1, 5)))
    log = read_log(tmp_path, {})
    assert log.curves["env_steps"].tolist() == [1, 1]
    assert log.curves["episode_return_mean"].tolist() == [1, 3]


def test_what_a_resumed_run_logs_again_counts_once(tmp_path):
    first = [scalar("rollout/ep_rew_mean", step, step) for step in (10, 20, 30)]
    write_events(tmp_path / "events.out.tfevents.1", *first)
    write_events(tmp_path / "events.out.tfevents.2", start(20), scalar("rollout/ep_rew_mean", 7, 20))
    log = read_log(tmp_path, {})
    assert log.curves["env_steps"].tolist() == [10, 20]
    assert log.curves["episode_return_mean"].tolist() == [10, 7]


def test_columns_are_named_as_in_other_logs(tmp_path):
    write_events(tmp_path / "events.out.tfevents.1", scalar("reward", 2.0, 5))
    log = read_log(tmp_path, parse_columns("episode_return_mean=reward"))
    assert log.curves["episode_return_mean"].tolist() == [2.0]
    with pytest.raises(InputError, match=r"has no column 'rewards': did you mean 'reward'.*it has reward"):
        read_log(tmp_path, parse_columns("episode_return_mean=rewards"))


def test_folders_of_runs_are_found_and_links_are_not_followed(tmp_path):
    for name in ("runs/b", "runs/a", "runs/deep/c", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        write_events(tmp_path / name / "events.out.tfevents.1", scalar("x", 1.0))
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "elsewhere")
    assert find_logs(tmp_path / "runs") == [tmp_path / "runs" / name for name in ("a", "b")]
    assert find_logs(tmp_path / "runs" / "deep") == [tmp_path / "runs" / "deep" / "c"]
    assert find_logs(tmp_path / "nothing") == []


# --- files of a stranger ---------------------------------------------------------------------------


def test_a_file_that_is_still_written_is_read_up_to_its_end(tmp_path):
    file = tmp_path / "events.out.tfevents.1"
    write_events(file, scalar("x", 1.0, 1), scalar("x", 2.0, 2))
    file.write_bytes(file.read_bytes()[:-5])
    assert read_log(file, {}).curves["x"].tolist() == [1.0]


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, struct.pack("<QI", 2**63, 0) + b"x" * 100])
def test_a_file_without_a_whole_record_holds_nothing(tmp_path, content):
    (tmp_path / "events.out.tfevents.1").write_bytes(content)
    assert read_log(tmp_path, {}).columns == ()


def test_what_is_no_event_file_is_one_sentence(tmp_path):
    (tmp_path / "events.out.tfevents.1").write_bytes(struct.pack("<QI", 4, 0) + b"\xff" * 50)
    with pytest.raises(InputError, match="is damaged, or not an event file of TensorBoard: name another"):
        read_log(tmp_path, {})


def test_a_huge_file_is_not_read(tmp_path):
    with open(tmp_path / "events.out.tfevents.1", "wb") as file:
        file.truncate(1 << 30)  # sparse
    with pytest.raises(InputError, match="are larger than 128 MiB"):
        read_log(tmp_path, {})


def test_numbers_of_tags_and_values_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files, "MAX_TAGS", 10)
    write_events(tmp_path / "events.out.tfevents.1", *(scalar(f"t{index}", 1.0) for index in range(11)))
    with pytest.raises(InputError, match="more than 10 tags"):
        read_log(tmp_path, {})
    monkeypatch.setattr(event_files, "MAX_TAGS", 100)
    monkeypatch.setattr(event_files, "MAX_CELLS", 10)
    with pytest.raises(InputError, match="more than 10 values"):
        read_log(tmp_path, {})


def test_numbers_that_are_not_finite_are_missing_values(tmp_path):
    write_events(tmp_path / "events.out.tfevents.1", *(scalar("x", float(text)) for text in ("nan", "inf", "1")))
    assert np.isfinite(read_log(tmp_path, {}).curves["x"]).tolist() == [False, False, True]


def test_a_link_is_not_read(tmp_path):
    write_events(tmp_path / "secret", scalar("x", 1.0))
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "events.out.tfevents.1").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"has no progress.csv, monitor.csv or event file"):
        read_log(tmp_path / "log", {})


def test_the_environment_of_a_monitor_is_known(tmp_path):
    header = json.dumps({"t_start": 1.0, "env_id": "CartPole-v1"})
    (tmp_path / "monitor.csv").write_text(f"#{header}\nr,l,t\n9.0,9,0.1\n")
    log = read_log(tmp_path, {})
    assert (dict(log.settings), dict(log.counts)) == ({"env_id": "CartPole-v1"}, {"steps_finished": 9})
