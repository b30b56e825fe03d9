"""A Redis server of a test: on a free port, with a file of its own, ended with the test."""

import shutil
import signal
import socket
import subprocess
import time

import pytest

DURABLE = ("--appendfsync", "always")  # what it has answered is on its disk
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


class RedisProcess:
    """`redis-server` in a folder; can be killed and started again."""

    def __init__(self, folder, *options):
        self.folder, self.options = folder, options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        places = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        command = ["redis-server", *places, "--appendonly", "yes", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait()

    def wait(self):
        import redis

        for _ in range(600):
            try:
                with redis.Redis(port=self.port) as client:
                    client.ping()
                return
            except redis.AuthenticationError:
                return
            except redis.RedisError:
                assert self.process.poll() is None, "redis-server has ended"
                time.sleep(0.05)
        raise AssertionError("redis-server does not answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def client(self):
        import redis

        return redis.Redis(port=self.port)


def redis_server(tmp_path_factory, *options):
    """The body of a fixture."""
    pytest.importorskip("redis")
    server = RedisProcess(tmp_path_factory.mktemp("redis"), *options)
    yield server
    server.kill()
