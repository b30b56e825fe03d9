from __future__ import annotations

import sys

import pytest

from tests.gates import fake_agent


@pytest.fixture(autouse=True)
def _fake_agent(monkeypatch):
    monkeypatch.setitem(sys.modules, "agents.fake", fake_agent)
