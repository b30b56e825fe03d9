"""A registry that is missing, read-only or damaged, and one that several processes use."""

import multiprocessing
import sqlite3

import pytest

from rl_eval.production.registry import (
    RegistryError,
    open_registry,
)
from tests.production.registry.registries import LINEAGE
from tests.production.rights import rights_of_files_count


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


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"champion": -1}', b'{"champion": true}', b'{"x": 1}', b'{"champion": 1, "champion": 2}',
    ],
)  # fmt: skip
def test_damaged_aliases_of_a_folder_are_one_sentence(tmp_path, content):
    registry = open_registry("folder", tmp_path / "registry", "triage")
    (tmp_path / "registry" / "triage" / "aliases.json").write_bytes(content)
    for use in (registry.aliases, lambda: registry.move({"champion": None})):
        with pytest.raises(RegistryError, match="servers keep the versions"):
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
    with pytest.raises(RegistryError, match="servers keep the versions"):
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
