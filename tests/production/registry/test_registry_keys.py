"""The owner's key of a registry."""

import os

import pytest

from rl_eval.errors import InputError
from rl_eval.production.registry import (
    RegistryError,
    open_registry,
    read_owner_key,
)
from tests.production.registry.registries import LINEAGE


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
