from __future__ import annotations

import sys

import pytest

from tests.gates import fake_agent


@pytest.fixture(autouse=True, scope="session")
def _fake_agent():
    patch = pytest.MonkeyPatch()
    patch.setitem(sys.modules, "agents.fake", fake_agent)
    yield
    patch.undo()
