"""Databases, queues and servers of tests; what is not installed skips by name."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine

from rl_eval.production.collection_config import CollectConfig
from rl_eval.production.queues import open_queue

# Starting PostgreSQL takes seconds, and joining a group of Kafka more.
POSTGRES, KAFKA = (pytest.param(kind, marks=pytest.mark.verify) for kind in ("postgres", "kafka"))
QUEUES = ("store", POSTGRES, "redis", KAFKA)


def postgres_tools():
    """The folder of PostgreSQL's programs; None where they are not installed."""
    folders = [Path(path).parent for path in [shutil.which("initdb")] if path]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class Postgres:
    """A PostgreSQL in a folder, as a user without rights, on loopback."""

    def __init__(self, folder):
        self.folder, self.tools = folder, postgres_tools()
        self.data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.user = None
        if os.getuid() == 0:  # PostgreSQL does not run as root
            self.user = pwd.getpwnam("nobody")
            os.chown(folder, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", self.data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def command(self, program, *arguments):
        return [str(self.tools / program), *map(str, arguments)]

    def identity(self):
        return {} if self.user is None else {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def open_parents(self):
        """Let that user reach the folder: another pytest that starts meanwhile closes them again."""
        for parent in self.folder.parents:
            if parent.owner() == "root" and parent != Path("/") and parent.stat().st_mode & 0o777 == 0o700:
                parent.chmod(0o755)

    def run(self, program, *arguments):
        if self.user is not None:
            self.open_parents()
        command = self.command(program, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.identity())
        assert done.returncode == 0, done.stderr

    def start(self):
        options = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} "
        options += "-c shared_buffers=16MB -c fsync=off -c wal_recycle=off -c wal_keep_size=0 -c max_connections=40"
        self.run("pg_ctl", "-D", self.data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self, mode="immediate"):
        with contextlib.suppress(AssertionError):
            self.run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def new(self):
        """The address of a new database."""
        name = f"test{time.time_ns()}"
        engine = create_engine(f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres", poolclass=NullPool)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"


def mock_kafka():
    """Mock brokers of librdkafka, which live as long as the object, and their address."""
    import confluent_kafka

    holder = confluent_kafka.Producer({"bootstrap.servers": "ignored", "test.mock.num.brokers": "3", "log_level": 0})
    brokers = holder.list_topics(timeout=10).brokers.values()
    return holder, "kafka://" + ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def queue_config(kind, request, **more):
    """The `collect` section for a kind of queue, with what it needs running."""
    name = f"q{time.time_ns()}"
    if kind == "store":
        return CollectConfig(name=name, **more)
    if kind == "postgres":
        return CollectConfig(name=name, store=request.getfixturevalue("postgres").new(), **more)
    if kind == "redis":
        return CollectConfig(name=name, queue=request.getfixturevalue("redis").url, **more)
    return CollectConfig(name=name, queue=request.getfixturevalue("kafka"), **more)


def opened(kind, request, folder, **more):
    return open_queue(queue_config(kind, request, **more), folder)
