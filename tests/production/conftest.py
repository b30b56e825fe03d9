"""Fixtures for the tests of production."""

import shutil

import pytest

from tests.production.databases import POSTGRES, Postgres, mock_kafka, postgres_tools
from tests.redis_process import DURABLE, RedisProcess
from tests.serving.served_runs import AGENTS, write_run


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    if postgres_tools() is None:
        pytest.skip("PostgreSQL is not installed")
    server = Postgres(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis(tmp_path_factory):
    pytest.importorskip("redis", reason="redis is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisProcess(tmp_path_factory.mktemp("redis"), *DURABLE)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def kafka():
    """The address of librdkafka's mock brokers."""
    pytest.importorskip("confluent_kafka", reason="confluent_kafka is not installed")
    holder, address = mock_kafka()
    yield address
    del holder


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A PPO run and another one of the same environment, with their first weights; read only."""
    folder = tmp_path_factory.mktemp("production")
    write_run(folder / "one", AGENTS["ppo"])
    write_run(folder / "two", [*AGENTS["ppo"][:-1], "agent.n_epochs=3", "seed=9"])
    write_run(folder / "box", AGENTS["box"])
    return folder


@pytest.fixture(params=["sqlite", POSTGRES])
def store_address(request):
    return "sqlite:///store.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres").new()
