"""Fixtures for the tests of the pytest plugin."""

from __future__ import annotations

import shutil

import pytest

from agents import AGENTS
from tests.gates import fake_agent
from tests.pytest_plugin.pole_project import REGISTER, ROOT, SUITE, TRAIN


@pytest.fixture
def project(pytester, monkeypatch):
    """A checkout with a suite; policies come from the fake agent, in this process and in others."""
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("COLUMNS", "120")  # a narrow table leaves the metric out
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio")  # slow to load, and not used
    (pytester.path / "agents").mkdir()
    package = (ROOT / "agents" / "__init__.py").read_text()
    (pytester.path / "agents" / "__init__.py").write_text(package + REGISTER)
    shutil.copy(fake_agent.__file__, pytester.path / "agents" / "fake.py")
    (pytester.path / "suites").mkdir()
    (pytester.path / "suites" / "pole.yaml").write_text(SUITE)
    pytester.makeini("[pytest]\n")
    (pytester.path / "train.py").write_text(TRAIN)
    (pytester.path / "pyproject.toml").write_text('[project]\nname = "rl_eval"\n')
    return pytester
