"""The store remembers which key made its pseudonyms: no process works on it with another one."""

import json
import sqlite3
import threading

import pytest

from rl_eval.cli import main
from rl_eval.errors import InputError
from rl_eval.production.collector import collect
from rl_eval.production.config import load_config
from rl_eval.production.forget import UnfinishedError, erase_pseudonym
from rl_eval.production.keyed_store import open_for_serving, open_store
from rl_eval.production.parts import open_parts
from rl_eval.production.privacy import KEY_FILE, fingerprint, read_key
from rl_eval.production.queues import QueueError
from rl_eval.production.server.serve import serve
from rl_eval.production.store import UnavailableError, WrongKeyError
from tests.production.served import OBS, Loop, write_config

OTHER = "a" * 64


@pytest.fixture
def loop(runs, tmp_path, monkeypatch):
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)
    loop = Loop(tmp_path, runs)
    yield loop
    loop.close()


def file_of(loop):
    return loop.config.directory / "production.yaml"


def nothing(line):
    raise AssertionError(line)


@pytest.mark.parametrize(
    "use",
    [
        lambda config: serve(config, None, token=None, show=nothing),
        lambda config: collect(config, threading.Event(), nothing),
        lambda config: open_parts(config).__enter__(),  # run, watch and register
    ],
    ids=["serve", "collect", "parts"],
)
def test_another_key_is_refused(loop, monkeypatch, use):
    monkeypatch.setenv("RL_EVAL_PRIVACY_KEY", OTHER)
    with pytest.raises(WrongKeyError, match=r"store.sqlite was made with another privacy key: use the key"):
        use(loop.config)


def test_erasing_with_another_key_or_none_is_refused_and_makes_no_key(loop, monkeypatch, capsys):
    loop.live(2, unit="alice")
    loop.collect()
    monkeypatch.setenv("RL_EVAL_PRIVACY_KEY", OTHER)
    assert main(["production", "erase", str(file_of(loop)), "alice"]) == 2
    assert "another privacy key" in capsys.readouterr().err
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY")
    key = loop.config.path / KEY_FILE
    key.rename(loop.config.directory / "kept.key")
    assert main(["production", "erase", str(file_of(loop)), "alice"]) == 2
    assert "there is no privacy key" in capsys.readouterr().err
    with pytest.raises(InputError, match="there is no privacy key"):
        open_for_serving(loop.config)
    open_store(loop.config).close()  # a collector needs no key
    assert not key.exists()
    assert len(loop.store.outcomes()) == 2


def test_a_store_without_a_fingerprint_is_erased_from_by_nobody(loop, capsys):
    loop.live(1, unit="alice")
    loop.collect()
    with sqlite3.connect(loop.store.database.file) as database:
        database.execute("DELETE FROM meta WHERE key = 'privacy_key'")
    assert main(["production", "erase", str(file_of(loop)), "alice"]) == 2
    assert "start a server on it first" in capsys.readouterr().err
    (loop.config.path / KEY_FILE).rename(loop.config.directory / "kept.key")
    with pytest.raises(InputError, match="there is no privacy key"):
        open_for_serving(loop.config)


def test_a_store_that_was_away_at_the_start_is_refused_once_it_is_back(loop, caplog):
    def first():
        raise WrongKeyError("made with another privacy key")

    assert loop.get("/health").status_code == 200
    loop.store.database.first = first
    loop.follower.look()
    for answer in (loop.get("/health"), loop.post("/select_action", observation=OBS)):
        assert (answer.status_code, answer.json()["detail"]) == (503, "made with another privacy key")
    assert "the versions stay as they are: made with another privacy key" in caplog.text


def test_a_fingerprint_tells_keys_apart_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)
    config = load_config(write_config(tmp_path))
    store, key = open_for_serving(config)
    assert key == read_key(config.path)
    assert store.known_key() == fingerprint(key) != fingerprint(bytes(32))
    assert key.hex() not in fingerprint(key)
    store.close()


def test_an_erased_unit_is_in_the_audit_log_and_a_second_time_says_so(loop, capsys):
    loop.live(2, unit="alice")
    loop.collect()
    command = ["production", "erase", str(file_of(loop)), "alice"]
    assert main(command) == 0
    assert "erased 2 decisions" in capsys.readouterr().out
    assert main(command) == 0
    assert "nothing is kept of this unit; it was erased before, at 20" in capsys.readouterr().out
    assert main([*command[:-1], "nobody"]) == 0
    assert capsys.readouterr().out.strip() == "nothing is kept of this unit"
    lines = [json.loads(line) for line in (loop.config.path / loop.config.audit.file).read_text().splitlines()]
    facts = [line["facts"] for line in lines if line["event"] == "erase"]
    assert [one["state"] for one in facts] == ["started", "done"] * 3
    assert (facts[1]["decisions"], facts[1]["waiting"]) == (2, 0)
    text = json.dumps(lines)
    assert "alice" not in text
    assert loop.server._privacy.pseudonym("alice") not in text


def test_while_the_queue_is_away_nothing_is_erased(loop, monkeypatch):
    def away():
        raise QueueError("the queue is away")

    loop.live(2, unit="alice")
    loop.collect()
    name = loop.server._privacy.pseudonym("alice")
    monkeypatch.setattr(loop.queue, "waiting", away)
    with pytest.raises(QueueError, match="nothing was erased: the queue is away"):
        erase_pseudonym(loop.config, name, loop.store, loop.queue)
    assert len(loop.store.outcomes()) == 2
    monkeypatch.undo()

    def gone(*_):
        raise QueueError("the queue went away")

    monkeypatch.setattr(loop.queue, "take", gone)
    with pytest.raises(UnfinishedError, match=r"2 decisions were erased .*went away\): the same command finishes it"):
        erase_pseudonym(loop.config, name, loop.store, loop.queue)


def test_what_is_done_is_said_where_the_store_goes_away_meanwhile(loop, monkeypatch):
    loop.live(1, unit="alice")
    loop.collect()
    loop.live(1, unit="alice")

    def away(*_):
        raise UnavailableError("the store went away")

    monkeypatch.setattr(loop.store, "ingest", away)
    name = loop.server._privacy.pseudonym("alice")
    with pytest.raises(UnfinishedError, match="1 decisions were erased"):
        erase_pseudonym(loop.config, name, loop.store, loop.queue)
    monkeypatch.undo()
    assert erase_pseudonym(loop.config, name, loop.store, loop.queue)[:2] == (0, 2)
