"""Registries of both kinds, for tests."""

import shutil

import pytest

from rl_eval.production.registry import (
    open_registry,
)
from tests.production.registry.registries import KINDS


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
