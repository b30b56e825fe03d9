"""Runs whose replay is on a Redis server: the bytes of a run in memory, whatever happens to the server."""

import os
import queue
import sys
import threading
import time

import pytest

from agents.redis_address import ENVIRONMENT_VARIABLE as VARIABLE_OF_AGENTS
from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.launch import launch
from rl_eval.redis_credentials import ENVIRONMENT_VARIABLE, take_out
from rl_eval.verify import verify
from tests.redis_process import RedisProcess, needs_redis, redis_server
from tests.run_bytes import content
from tests.training.learn import ROOT, learn

SHORT = [
    "agent=dqn", "env=cartpole", "tuned=none", "total_steps=2048", "log_every=256", "resume_every=1024",
    "checkpoint_every=1024", "validation.every=1024", "validation.episodes=2", "validation.stop_at=null",
    "agent.learning_starts=200", "agent.train_every=8", "agent.updates_per_step=0.25", "agent.prioritized=true",
    "agent.buffer_size=1000",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from redis_server(tmp_path_factory)


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory):
    """A run that nothing happened to; read only."""
    return content(learn(SHORT, tmp_path_factory.mktemp("memory") / "run").path)


def without_storage(files):
    """The files of a run but its config; of `run.json`, all but the place of the transitions."""
    assert len(files) > 5
    return {name: value for name, value in files.items() if name != "config.yaml"}


@needs_redis
def test_the_bytes_are_those_of_memory_stopped_and_resumed_too(server, in_memory, tmp_path):
    stopped = learn([*SHORT, f"replay.storage={server.url}"], tmp_path / "run", stop_at=1500)
    assert stopped.info["status"] == "interrupted"
    learn(None, stopped.path, resume=True)
    assert without_storage(content(stopped.path)) == without_storage(in_memory)
    with server.client() as client:
        assert client.dbsize() == 0


@needs_redis
def test_verify_trains_again_without_the_server_that_a_run_names(tmp_path):
    server = RedisProcess(tmp_path)
    run = learn([*SHORT, f"replay.storage={server.url}", "total_steps=512"], tmp_path / "run")
    server.kill()
    assert verify(run.path).agrees


@needs_redis
def test_a_server_that_stays_away_ends_the_run_which_can_be_resumed(in_memory, tmp_path, monkeypatch):
    server = RedisProcess(tmp_path)
    monkeypatch.setattr("agents.redis_server.WAIT_S", 0.1)
    try:
        with monkeypatch.context() as patch:
            real = runs.write_checkpoint
            points = []

            def killed_after_the_first_point(folder, kind, *rest):
                real(folder, kind, *rest)
                if kind == "state" and not points:
                    points.append(folder)
                    server.kill()

            patch.setattr(runs, "write_checkpoint", killed_after_the_first_point)
            run = learn([*SHORT, f"replay.storage={server.url}"], tmp_path / "run")
        assert run.info["status"] == "failed"
        assert "\n" not in run.info["reason"]
        assert run.info["reason"].startswith(f"replay.storage={server.url} could not be written (the server has been a")
        assert "continue with `python train.py resume=" in run.info["reason"]
        server.start()
        learn(None, run.path, resume=True)
        assert without_storage(content(run.path)) == without_storage(in_memory)
    finally:
        server.kill()


def test_without_a_server_a_run_does_not_begin(tmp_path):
    with pytest.raises(
        InputError, match=r"^replay\.storage=redis://127\.0\.0\.1:1/0: no Redis server can be used ther"
    ):
        learn([*SHORT, "replay.storage=redis://127.0.0.1:1/0"], tmp_path / "run")


# -- the config --------------------------------------------------------------------------------------------------------


def test_a_password_reaches_neither_the_config_nor_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    seen = []
    arguments = [*SHORT, "judge=off", "replay.storage=redis://user:se@c/ret@127.0.0.1:1/0"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    launch(ROOT, arguments, lambda: seen.append(" ".join(sys.argv)))
    (command,) = seen
    assert "replay.storage=redis://127.0.0.1:1/0" in command
    assert "ret" not in command
    assert os.environ[ENVIRONMENT_VARIABLE] == "user:se@c/ret"
    composed = compose(ROOT / "conf", SHORT)
    composed["replay"]["storage"] = "redis://:other@127.0.0.1:1/0"
    config = configs.load(composed)
    assert config.to_dict()["replay"]["storage"] == "redis://127.0.0.1:1/0"
    assert os.environ[ENVIRONMENT_VARIABLE] == ":other"
    assert ENVIRONMENT_VARIABLE == VARIABLE_OF_AGENTS


def test_two_passwords_are_refused(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    assert take_out("a=redis://:x@h,rediss://:x@g/1 redis://k") == "a=redis://h,rediss://g/1 redis://k"
    with pytest.raises(InputError, match="two Redis addresses have different passwords") as error:
        take_out("replay.storage=redis://:one@h,redis://:two@g")
    assert "one@" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["agent=dqn", "replay.storage=disk"], r"^replay: .*storage must be memory, memmap, or the address of a Redis"),
        (["agent=dqn", "replay.storage=redis://h:x"], r"^replay: .*is redis://host:port/db.*RL_EVAL_REDIS_AUTH"),
        (
            ["agent=ppo", "replay.storage=memmap"],
            r"^replay\.storage=memmap is not for agent=ppo: .*use agent=dqn",
        ),
        (["agent=dqn", "+replay.place=x"], r"^replay\.place is not a key of replay: "),
    ],
)
def test_bad_storage_is_one_sentence(overrides, message):
    with pytest.raises(InputError, match=message) as error:
        configs.load(compose(ROOT / "conf", ["env=cartpole", *overrides]))
    assert "\n" not in str(error.value)


# -- a server that is killed -------------------------------------------------------------------------------------------


@needs_redis
@pytest.mark.verify
def test_kills_of_the_server_change_no_byte(tmp_path):
    """SIGKILL at any moment while calls are on their way; the file of the server is synced each second, the default."""
    longer = [*SHORT, "total_steps=6000", "agent.buffer_size=3000", "agent.train_every=2", "resume_every=100000"]
    expected = without_storage(content(learn(longer, tmp_path / "memory").path))
    server = RedisProcess(tmp_path, "--appendfsync", "everysec")
    kills, due = [], queue.SimpleQueue()

    def kill_again_and_again():
        while due.get():
            server.kill()
            kills.append(time.monotonic())
            server.start()

    def after_step(env_steps, *_):
        if env_steps // 700 > due_so_far[0]:
            due_so_far[0] += 1
            due.put(True)

    due_so_far = [0]
    killer = threading.Thread(target=kill_again_and_again)
    killer.start()
    try:
        run = learn([*longer, f"replay.storage={server.url}"], tmp_path / "redis", on_step=after_step)
    finally:
        due.put(False)
        killer.join()
        server.kill()
    assert len(kills) >= 5
    assert run.info["status"] == "finished"
    assert without_storage(content(run.path)) == expected
