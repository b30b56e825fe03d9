from __future__ import annotations

import pytest

from agents import AGENTS
from tests.gates import fake_agent
from tests.gates.fake_runs import BALANCE
from tests.report.judged_runs import judged_run


@pytest.fixture(autouse=True, scope="module")
def _fake_agent():
    """The agent of the runs that tests write, while tests of this folder run."""
    patch = pytest.MonkeyPatch()
    patch.setitem(AGENTS, "fake", fake_agent.ENTRY)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    """The folder of a judged run of CartPole."""
    return judged_run(tmp_path_factory.mktemp("pages") / "run", rule=BALANCE).path
