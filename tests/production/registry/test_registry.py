"""The registry: the same tests for the folder and for MLflow."""

import dataclasses
import json
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rl_eval.errors import InputError
from rl_eval.production.registry import (
    RegistryError,
    StaleAliasError,
    open_registry,
)
from tests.production.registry.registries import LINEAGE, files_of


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
    with pytest.raises(RegistryError, match="not an alias"):
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
