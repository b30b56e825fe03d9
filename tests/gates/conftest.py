from __future__ import annotations

import pytest

from agents import AGENTS
from tests.gates import fake_agent


@pytest.fixture(autouse=True)
def _fake_agent(monkeypatch):
    monkeypatch.setitem(AGENTS, "fake", fake_agent.ENTRY)
