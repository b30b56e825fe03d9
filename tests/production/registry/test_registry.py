"""The registry: the same tests for the folder and for MLflow."""

import dataclasses
import importlib.util
import json
import multiprocessing
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production.registry import (
    Lineage,
    RegistryError,
    StaleAliasError,
    open_registry,
    read_owner_key,
)
from tests.production.rights import rights_of_files_count

# MLflow takes seconds to load and to make its tables: its tests are long ones.
MLFLOW = pytest.param(
    "mlflow",
    marks=[
        pytest.mark.verify,
        pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed"),
    ],
)
KINDS = ["folder", MLFLOW]
LINEAGE = Lineage("sha256:abc", None, {"decision": "PASS", "bar": 0.8}, "c5e733b", {"machine_s": 3.5}, "1f2e")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text('{"schema": 1}')
    (folder / "snapshots" / "10").mkdir(parents=True)
    (folder / "snapshots" / "10" / "policy.safetensors").write_bytes(bytes(range(256)) * 8)
    (folder / "resume").mkdir()
    (folder / "resume" / "large").write_text("left out")
    (folder / "run.lock").write_text("")
    return folder


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def empty(kind, tmp_path_factory):
    """An empty registry."""
    folder = tmp_path_factory.mktemp(kind)
    open_registry(kind, folder, "triage")
    return folder


@pytest.fixture
def folder(empty, tmp_path):
    shutil.copytree(empty, tmp_path / "registry")
    return tmp_path / "registry"


@pytest.fixture
def registry(kind, folder):
    return open_registry(kind, folder, "triage")


def files_of(folder: Path):
    """The registered file with the weights."""
    return next(folder.rglob("policy.safetensors"))


def test_a_version_is_what_was_registered(registry, source, tmp_path):
    version = registry.register(source, LINEAGE)
    child = registry.register(source / "run.json", dataclasses.replace(LINEAGE, parent=1))
    assert (version.number, child.number) == (1, 2)
    assert version.lineage == LINEAGE
    assert child.lineage.parent == 1
    assert set(version.files) == {"run.json", "snapshots/10/policy.safetensors"}
    assert registry.versions() == [1, 2]
    assert registry.version(1) == version
    assert registry.load(1, tmp_path / "out") == version
    for name in version.files:
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    assert not (tmp_path / "out" / "resume").exists()


def test_aliases_move_only_from_where_they_were_expected(registry, source, kind, folder):
    for _ in range(3):
        registry.register(source, LINEAGE)
    assert registry.aliases() == {}
    registry.move({"champion": 1})
    registry.move({"challenger": 2}, {"challenger": None})
    assert registry.aliases() == {"champion": 1, "challenger": 2}
    with pytest.raises(StaleAliasError):
        registry.move({"challenger": 3}, {"challenger": None})
    with pytest.raises(StaleAliasError):
        registry.move({"champion": 3}, {"champion": 2})
    assert registry.aliases() == {"champion": 1, "challenger": 2}
    registry.move({"champion": 2, "challenger": None}, {"champion": 1, "challenger": 2})
    assert open_registry(kind, folder, "triage").aliases() == {"champion": 2}
    registry.move({"challenger": None})
    with pytest.raises(RegistryError, match="no version 9"):
        registry.move({"champion": 9})
    with pytest.raises(RegistryError, match="no alias"):
        registry.move({"latest": 1})
    assert registry.aliases() == {"champion": 2}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_is_refused_and_nothing_is_loaded(registry, source, folder, tmp_path, data):
    if not registry.versions():
        registry.register(source, LINEAGE)
    file = files_of(folder)
    content = bytearray(original := file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    with pytest.raises(RegistryError, match="was changed"):
        registry.load(1, tmp_path / "out")
    file.write_bytes(original)
    assert not (tmp_path / "out").exists()
    assert [path for path in tmp_path.iterdir() if path.name != "registry"] == []


def test_a_changed_record_is_refused(registry, source, folder):
    registry.register(source, LINEAGE)
    record = next(folder.rglob("version.json"))
    values = json.loads(record.read_text())
    for change in (
        {"at": "2020-01-01T00:00:00+00:00"},
        {"lineage": {**values["lineage"], "verdict": {"decision": "PASS", "bar": 0.9}}},
        {"lineage": {**values["lineage"], "parent": 7}},
        {"files": {**values["files"], "../../outside": "0" * 64}},
        {"digest": "0" * 64},
    ):
        record.write_text(json.dumps({**values, **change}))
        with pytest.raises(RegistryError, match="was changed"):
            registry.version(1)
    for damaged in ("", "{", "[]", "null", '{"lineage": 3}', json.dumps({**values, "files": 3})):
        record.write_text(damaged)
        with pytest.raises(RegistryError, match=r"damaged|was changed"):
            registry.version(1)


def test_a_file_that_is_missing_added_or_a_link_is_refused(registry, source, folder, tmp_path):
    registry.register(source, LINEAGE)
    file = files_of(folder)
    (file.parent / "more").write_text("x")
    with pytest.raises(RegistryError, match="was added"):
        registry.load(1, tmp_path / "out")
    (file.parent / "more").unlink()
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="is missing"):
        registry.load(1, tmp_path / "out")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="is a link"):
        registry.load(1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_record_of_another_version_is_refused(registry, source, folder):
    registry.register(source, LINEAGE)
    registry.register(source / "run.json", LINEAGE)
    first, second = sorted(folder.rglob("version.json"))
    shutil.rmtree(second.parent)
    shutil.copytree(first.parent, second.parent)
    with pytest.raises(RegistryError, match="was changed"):
        registry.version(2)


def key_file(folder, content):
    file = folder / "owner.key"
    file.write_bytes(content)
    file.chmod(0o600)
    return file


def test_the_owners_key_shows_ownership(kind, folder, source, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    mine, other = key_file(tmp_path / "a", b"m" * 32), key_file(tmp_path / "b", b"o" * 32)
    open_registry(kind, folder, "triage").register(source, LINEAGE)
    owner = open_registry(kind, folder, "triage", mine)
    with pytest.raises(RegistryError, match="not signed by the owner's key"):
        owner.version(1)
    signed = owner.register(source, LINEAGE)
    assert owner.version(2) == signed
    assert signed.signature is not None
    with pytest.raises(RegistryError, match="not signed by the owner's key"):
        open_registry(kind, folder, "triage", other).load(2, tmp_path / "out")
    with pytest.raises(RegistryError, match="not signed"):
        owner.move({"champion": 1})


def test_keys_that_show_nothing_are_refused(tmp_path):
    file = key_file(tmp_path, b"k" * 31)
    with pytest.raises(InputError, match="at least 32"):
        read_owner_key(file)
    file.write_bytes(b"k" * 32)
    assert read_owner_key(file) == b"k" * 32
    file.chmod(0o644)
    with pytest.raises(InputError, match="read by others"):
        read_owner_key(file)
    with pytest.raises(InputError, match="make a key"):
        read_owner_key(tmp_path / "absent")


def test_a_key_of_another_user_may_be_read_by_the_group(tmp_path, monkeypatch):
    """As a pod gets a mounted secret: a link to a file of root, which the group of the pod may read."""
    (tmp_path / "..data").mkdir()
    file, secret = tmp_path / "owner.key", key_file(tmp_path / "..data", b"k" * 32)
    file.symlink_to(secret)
    secret.chmod(0o440)
    with pytest.raises(InputError, match="read by others"):  # one's own is not shared
        read_owner_key(file)
    monkeypatch.setattr(os, "geteuid", lambda: secret.stat().st_uid + 1)
    assert read_owner_key(file) == b"k" * 32
    for mode in (0o444, 0o460, 0o404):
        secret.chmod(mode)
        with pytest.raises(InputError, match="read by others"):
            read_owner_key(file)


def test_what_cannot_be_registered_leaves_the_registry_as_it_was(registry, source, folder, tmp_path):
    registry.register(source, LINEAGE)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "policy").symlink_to(source / "run.json")
    (tmp_path / "none").mkdir()
    for wrong in (tmp_path / "linked", tmp_path / "none", tmp_path / "absent"):
        with pytest.raises(InputError):
            registry.register(wrong, LINEAGE)
    with pytest.raises(InputError, match="lineage"):
        registry.register(source, dataclasses.replace(LINEAGE, cost={"x": float("nan")}))
    assert registry.versions() == [1]
    assert list(folder.rglob(".new.*")) == []
    assert registry.register(source, LINEAGE).number == 2


def test_a_registry_that_is_missing_is_one_sentence(kind, registry, source, folder, tmp_path):
    registry.register(source, LINEAGE)
    registry.move({"champion": 1})
    folder.rename(tmp_path / "away")
    for use in (
        registry.aliases,
        registry.versions,
        lambda: registry.version(1),
        lambda: registry.move({"champion": 1}),
        lambda: registry.register(source, LINEAGE),
        lambda: open_registry(kind, folder, "triage", create=False),
    ):
        with pytest.raises(RegistryError, match=r"is missing|cannot be used"):
            use()
    assert not folder.exists()
    (tmp_path / "away").rename(folder)
    assert registry.aliases() == {"champion": 1}


def test_a_read_only_registry_serves_and_is_not_written(kind, registry, source, folder, tmp_path):
    registry.register(source, LINEAGE)
    registry.move({"champion": 1})
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with rights_of_files_count():
            reader = open_registry(kind, folder, "triage", create=False)
            assert reader.aliases() == {"champion": 1}
            assert reader.load(1, tmp_path / "out").number == 1
            with pytest.raises(RegistryError, match=r"cannot be written|cannot be used"):
                reader.move({"champion": None})
            with pytest.raises(RegistryError, match=r"cannot be written|cannot be used"):
                reader.register(source, LINEAGE)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert registry.aliases() == {"champion": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"champion": -1}', b'{"champion": true}', b'{"x": 1}'])
def test_damaged_aliases_of_a_folder_are_one_sentence(tmp_path, content):
    registry = open_registry("folder", tmp_path / "registry", "triage")
    (tmp_path / "registry" / "triage" / "aliases.json").write_bytes(content)
    for use in (registry.aliases, lambda: registry.move({"champion": None})):
        with pytest.raises(RegistryError, match="goes on serving"):
            use()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"", None])
def test_a_damaged_database_of_mlflow_is_one_sentence(kind, registry, folder, content):
    if kind != "mlflow":
        pytest.skip("a folder has no database")
    file = folder / "mlflow.db"
    if content is None:
        with sqlite3.connect(file) as database:
            database.execute("DROP TABLE registered_model_aliases")
    else:
        file.write_bytes(content)
    with pytest.raises(RegistryError, match="goes on serving"):
        registry.aliases()


def open_and_register(kind, folder, source, barrier):
    barrier.wait(60)
    registry = open_registry(kind, folder, "triage")
    for _ in range(3):
        registry.register(source, LINEAGE)


def test_processes_may_make_a_registry_at_once(kind, source, tmp_path):
    if kind == "mlflow":
        import rl_eval.production.registry.mlflow  # noqa: F401  # so that the processes begin together
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    arguments = (kind, tmp_path / "registry", source, barrier)
    workers = [context.Process(target=open_and_register, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    registry = open_registry(kind, tmp_path / "registry", "triage")
    assert registry.versions() == list(range(1, 10))
    for number in registry.versions():
        registry.version(number)


def move_often(kind, folder, moves):
    registry = open_registry(kind, folder, "triage")
    for index in range(moves):
        registry.move({"champion": 1 + index % 2, "challenger": 2 - index % 2})


def test_a_reader_never_sees_half_a_move_of_a_folder(source, tmp_path):
    registry = open_registry("folder", tmp_path / "registry", "triage")
    registry.register(source, LINEAGE)
    registry.register(source, LINEAGE)
    registry.move({"champion": 1, "challenger": 2})
    worker = multiprocessing.get_context("fork").Process(target=move_often, args=("folder", registry.folder.parent, 15))
    worker.start()
    seen = 0
    while worker.is_alive():
        aliases = registry.aliases()
        assert sorted(aliases.values()) == [1, 2]
        seen += 1
    worker.join()
    assert worker.exitcode == 0
    assert seen
