from __future__ import annotations

import pytest

from agents import AGENTS
from tests.gates import fake_agent


@pytest.fixture(autouse=True, scope="session")
def _fake_agent():
    patch = pytest.MonkeyPatch()
    patch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    yield
    patch.undo()
