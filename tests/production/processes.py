"""Commands of production as processes that tests kill."""

import os
import socket
import subprocess
import sys

from tests.production.served import ROOT

SERVE, COLLECT, RUN = "serve", "collect", "run"  # of `rl-eval production`


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """`rl-eval production …` or a script, with a config; `line` is the first line that it prints."""

    def __init__(self, code, config, errors=subprocess.DEVNULL):
        command = ["-m", "rl_eval.cli", "production", code] if code in (SERVE, COLLECT, RUN) else ["-c", code]
        self.line = None
        self.process = subprocess.Popen(
            [sys.executable, *command, str(config)], stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"},
        )  # fmt: skip

    def wait_until_ready(self):
        self.line = self.line or self.process.stdout.readline()
        assert self.line, "it ended before it was ready"

    @property
    def url(self):
        return self.line.split()[0]

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def __enter__(self):
        self.wait_until_ready()
        return self

    def __exit__(self, *_):
        self.kill()
