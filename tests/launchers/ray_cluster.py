"""A Ray of one node with a token of its own, for tests: `with ray_cluster(folder) as cluster`."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL_STORE = 100 << 20


def skip_without_ray():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")


def skip_without_mounts():
    """Hiding a folder from a node needs mounts of its own."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare --mount is not allowed here")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


class RayCluster:
    """One head node.

    Args:
        hidden: a folder that is empty for the node.
        spills: whether objects that its store has no room for go to the disk.

    Attributes:
        address: host:port, for this machine.
        environment: with the token.
    """

    def __init__(self, folder: Path, cpus: int = 2, hidden: Path | None = None, spills: bool = True):
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        port = _free_port()
        self.address = f"127.0.0.1:{port}"
        self.environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
        code = "from ray.scripts.scripts import main; main()"
        options = [f"--port={port}", f"--num-cpus={cpus}", f"--object-store-memory={SMALL_STORE}"]
        more = ["--include-dashboard=false", "--block", "--node-ip-address=127.0.0.1"]
        if not spills:
            more.append("--system-config=" + json.dumps({"automatic_object_spilling_enabled": False}))
        command = [sys.executable, "-c", code, "start", "--head", *options, *more]
        if hidden is not None:
            hide = f"mount -t tmpfs none {shlex.quote(str(hidden))} && cd / && exec {shlex.join(command)}"
            command = ["unshare", "--mount", "sh", "-c", hide]
        self.log = folder / "ray.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        until = time.monotonic() + 180
        while "Ray runtime started" not in self.log.read_text():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.2)

    def lose_head(self):
        """As if its machine had been switched off."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        for name in ("gcs_server", "raylet"):  # in sessions of their own, known by the port
            subprocess.run(["pkill", "-KILL", "-f", f"{name}.*{self.address.rpartition(':')[2]}"], check=False)

    def stop(self):
        """End its processes, and no other Ray's."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self.lose_head()


@contextlib.contextmanager
def ray_cluster(folder: Path, **options):
    skip_without_ray()
    cluster = RayCluster(folder, **options)
    try:
        yield cluster
    finally:
        cluster.stop()
