from __future__ import annotations

import pytest

from agents import AGENTS
from tests.gates import fake_agent


@pytest.fixture(autouse=True, scope="module")
def _fake_agent():
    """The agent of the runs that tests write, while tests of this folder run."""
    patch = pytest.MonkeyPatch()
    patch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    yield
    patch.undo()
