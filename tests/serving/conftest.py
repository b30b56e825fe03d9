"""Fixtures for the tests of the policy server."""

import pytest

from tests.serving.served_runs import AGENTS, client_of, write_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A run of each agent on CartPole with its first weights; read only."""
    folder = tmp_path_factory.mktemp("served")
    for name, overrides in AGENTS.items():
        write_run(folder / name, overrides)
    return folder


@pytest.fixture
def client(runs, tmp_path):
    """A client of a server of the PPO run."""
    with client_of(runs / "ppo", tmp_path / "folder") as client:
        yield client
