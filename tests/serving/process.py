"""`rl-eval serve` as a process, and clients that say what was acknowledged to them."""

import os
import subprocess
import sys
from pathlib import Path

from rl_eval.net import Client, Limits, parse_base_url

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits(total_s=60.0)


def command(*arguments):
    return [sys.executable, "-m", "rl_eval.cli", "serve", *map(str, arguments)]


def environment(**variables):
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


class Served:
    """A server that has printed its URL."""

    def __init__(self, run, folder, *options, **variables):
        self.process = subprocess.Popen(
            command(run, "--port", 0, "--folder", folder, *options),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**variables),
        )  # fmt: skip
        self.lines = [self.process.stdout.readline() for _ in range(3)]
        if not self.lines[0]:
            raise AssertionError(self.process.stderr.read())
        self.url = self.lines[0].split()[0]

    def client(self):
        return Client(parse_base_url(self.url), LIMITS)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdout.close()
        self.process.stderr.close()
