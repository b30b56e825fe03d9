"""Train, and kill the process that trains at random moments; resume; until it was killed often enough.

    python tests/killing.py FOLDER KILLS SEED OVERRIDES...

`FOLDER/whole` is never killed. `FOLDER/killed_0`, `killed_1`, … are, some of them many times, and all have
finished in the end. Beside each, `.final` holds the agent's whole state after the last iteration. A moment is a
step of the environments, or an access to a file: before it, half way through it, or after it.

Libraries are loaded once; each attempt is a process forked from there.
"""

import fcntl
import importlib
import json
import os
import signal
import stat
import sys
import traceback
from pathlib import Path

import numpy as np

from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval.launch import compose
from rl_eval.rewards import RewardedVector
from rl_eval.tracking import open_tracker
from rl_eval.training import Training, train

ROOT = Path(__file__).resolve().parents[1]
FILE_CALLS = ("fsync", "replace", "write", "mkdir", "unlink", "rmdir", "open")


class Moments:
    """Counts the moments of each kind, and kills this process at one of them."""

    def __init__(self, kind=None, number=None):
        self.counted = {"step": 0, "file": 0}
        self.kind, self.number = kind, number

    def come(self, kind, torn=lambda: None):
        self.counted[kind] += 1
        if kind == self.kind and self.counted[kind] == self.number:
            self.number = None
            torn()
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self):
        real = {name: getattr(os, name) for name in FILE_CALLS}

        def halve(descriptor):
            """What was not waited for is lost in part; what is only opened to be read was written before."""
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            if writable and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)

        def watched(name):
            def call(*args, **kwargs):
                torn = lambda: None  # noqa: E731
                if name == "fsync":
                    torn = lambda: halve(args[0])  # noqa: E731
                elif name == "write":
                    torn = lambda: real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])  # noqa: E731
                self.come("file", torn)
                result = real[name](*args, **kwargs)
                self.come("file")
                return result

            return call

        for name in FILE_CALLS:
            setattr(os, name, watched(name))
        step = RewardedVector.step

        def stepped(vector, actions):
            self.come("step")
            return step(vector, actions)

        RewardedVector.step = stepped


def attempt(config, directory, moments):
    """Train or resume, in this process."""
    learn = Training.learn

    def learned(training, stop):
        status = learn(training, stop)
        kind, moments.kind = moments.kind, None
        runs.write_checkpoint(Path(f"{directory}.final"), "state", *training.agent.state())
        moments.kind = kind
        return status

    Training.learn = learned
    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    resume = (directory / "run.json").exists()
    directory.mkdir(exist_ok=True)
    moments.watch()
    with runs.lock(directory):
        train(config, directory, tracker=tracker, resume=resume)
    Path(f"{directory}.moments").write_text(json.dumps(moments.counted))


def forked(config, directory, moments):
    """The status of an attempt in a process of its own, as `os.waitpid` has it."""
    child = os.fork()
    if child == 0:
        try:
            attempt(config, directory, moments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def load_everything():
    """Import what an attempt would otherwise import for itself."""
    for folder in ("agents", "rl_eval/envs", "rl_eval/metrics", "rl_eval/policy"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def main(folder, kills, seed, *overrides):
    load_everything()
    folder, config = Path(folder), configs.load(compose(ROOT / "conf", overrides))
    assert forked(config, folder / "whole", Moments()) == 0
    counted = json.loads((folder / "whole.moments").read_text())
    rng = np.random.default_rng(int(seed))
    done = number = 0
    while done < int(kills):
        directory = folder / f"killed_{number}"
        kind = str(rng.choice(["step", "file"]))
        status = forked(config, directory, Moments(kind, int(rng.integers(1, 2 + counted[kind] // 3))))
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, status
        done += killed
        number += not killed or runs.read_run(directory).finished if (directory / "run.json").exists() else 0
    directory = folder / f"killed_{number}"
    while directory.exists() and not ((directory / "run.json").exists() and runs.read_run(directory).finished):
        assert forked(config, directory, Moments()) == 0
    print(json.dumps({"kills": done, "moments": counted}))


if __name__ == "__main__":
    main(*sys.argv[1:])
