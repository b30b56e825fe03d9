"""Commands that read or erase make nothing: no store, queue, registry, key or audit log in the place of a lost one."""

import contextlib
import importlib

import pytest
from sqlalchemy import inspect

from rl_eval.cli import main
from rl_eval.production.audit import AuditLog
from rl_eval.production.canary.opening import audit_of, registry_of
from rl_eval.production.config import load_config
from rl_eval.production.parts import open_parts
from rl_eval.production.privacy import KEY_FILE
from rl_eval.production.registry import LaterRegistry, RegistryError
from rl_eval.production.store.database import Database
from tests.production.databases import POSTGRES
from tests.production.served import Loop, write_config

REASON = ["--reason", "x"]
REFUSED = [
    ["erase", "UNIT"],
    ["erase", "--old"],
    ["pause", *REASON],
    ["resume", *REASON],
    ["abort", *REASON],
    ["promote", *REASON],
    ["pin", "1", *REASON],
]


@pytest.fixture
def watched(monkeypatch):
    """Have `watch` end at once."""
    monkeypatch.setattr(importlib.import_module("rl_eval.serving.serve"), "run_app", lambda app, listener: 0)


def run(command, file, capsys):
    status = main(["production", command[0], str(file), *command[1:]])
    return status, capsys.readouterr().err.strip()


def made(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "production.yaml")


@pytest.mark.parametrize("key", ["a key", "no key"])
@pytest.mark.parametrize("command", REFUSED)
def test_where_nothing_is_there_a_command_says_so_and_makes_nothing(tmp_path, capsys, monkeypatch, command, key):
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)
    if key == "a key":
        monkeypatch.setenv("RL_EVAL_PRIVACY_KEY", "k" * 32)
    status, said = run(command, write_config(tmp_path), capsys)
    assert (status, "\n" in said) == (2, False)
    assert made(tmp_path) == []


def test_looking_and_checking_make_nothing(tmp_path, capsys, watched):
    file = write_config(tmp_path)
    status, warned = run(["check"], file, capsys)
    assert (status, warned.startswith("warning: proof.suites is empty")) == (0, True)
    assert run(["watch", "--port", "0"], file, capsys)[0] == 0
    assert made(tmp_path) == []
    assert main(["audit", "verify", str(tmp_path / "production" / "audit.jsonl")]) == 2
    assert made(tmp_path) == []


@pytest.mark.parametrize("lost", ["store.sqlite*", "test-queue.sqlite*"])
@pytest.mark.parametrize("command", [["erase", "alice"], ["erase", "--old"]])
def test_nothing_is_erased_where_a_part_was_lost(runs, tmp_path, capsys, lost, command):
    loop = Loop(tmp_path, runs)
    loop.live(1, unit="alice")
    loop.collect()
    loop.close()
    for path in loop.config.path.glob(lost):
        path.unlink()
    before = made(tmp_path)
    status, said = run(command, tmp_path / "production.yaml", capsys)
    assert (status, "does not exist" in said, "start one of them" in said) == (2, True, True), said
    assert made(tmp_path) == before


@pytest.mark.parametrize("kind", ["sqlite", POSTGRES])
def test_erasing_what_is_old_needs_a_store(kind, request, tmp_path, capsys):
    if kind == "sqlite":
        file = write_config(tmp_path)
        (tmp_path / "production").mkdir()
        (tmp_path / "production" / "store.sqlite").touch()  # an empty file is a database without tables
    else:
        file = write_config(tmp_path, collect={"store": request.getfixturevalue("postgres").new()})
    for command in (["erase", "--old"], ["pause", *REASON]):
        status, said = run(command, file, capsys)
        assert status == 2, said
    assert not audit_of(load_config(file)).path.exists()
    config = load_config(file)
    with contextlib.closing(Database(config.collect.store, config.path)) as database, database.reading() as connection:
        assert inspect(connection).get_table_names() == []


def test_erasing_before_there_is_a_registry_makes_none_and_keeps_none_from_being_made(runs, tmp_path, capsys):
    loop = Loop(tmp_path, runs)
    loop.live(1, unit="alice")
    loop.collect()
    loop.close()
    file = tmp_path / "production.yaml"
    for command in (["erase", "alice"], ["erase", "--old"]):
        assert run(command, file, capsys) == (0, "")
    assert not (loop.config.path / "registry").exists()
    assert run(["register", str(runs / "one")], file, capsys)[0] == 0


def test_a_training_that_is_logged_before_there_is_a_registry_keeps_none_from_being_made(tmp_path):
    config = load_config(write_config(tmp_path))
    log = AuditLog(audit_of(config).path)
    log.append("training_began", "train.py")
    log.append("verdict", "pytest")
    assert isinstance(registry_of(config, create=False), LaterRegistry)
    assert registry_of(config).aliases() == {}


def test_once_anything_else_is_logged_a_lost_registry_is_put_back_by_a_person(tmp_path):
    config = load_config(write_config(tmp_path))
    log = AuditLog(audit_of(config).path)
    log.append("training_began", "train.py")
    log.append("training_began", "loop")
    with pytest.raises(RegistryError, match="put it back"):
        registry_of(config).aliases()
    assert not (config.path / "registry").exists()


def test_the_key_of_a_server_is_made_by_a_server_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RL_EVAL_PRIVACY_KEY", raising=False)
    file = write_config(tmp_path)
    with open_parts(load_config(file)):
        pass
    run(["erase", "alice"], file, capsys)
    assert not (tmp_path / "production" / KEY_FILE).exists()
