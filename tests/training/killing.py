"""Kill runs at random moments and resume them, until there are enough kills.

    python -m tests.training.killing FOLDER KILLS SEED OVERRIDES...

The run `FOLDER/uninterrupted` is never killed. The runs `FOLDER/killed_0`, `killed_1`, … are killed, some of them many
times, and finish in the end. A file `<run>.final` holds the complete state of the agent after the last iteration. A
moment is a step of the environments, or a point before, within or after an access to a file.

Libraries are loaded once; each attempt is a forked process.
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
from rl_eval.hydra_compose import compose
from rl_eval.rewards import RewardedVector
from rl_eval.tracking import open_tracker
from rl_eval.training import Training, train

ROOT = Path(__file__).resolve().parents[2]
FILE_CALLS = ("fsync", "replace", "write", "mkdir", "unlink", "rmdir", "open")


class KillMoments:
    """Counts moments by kind, and kills this process at one of them."""

    def __init__(self, kind=None, number=None):
        self.counts = {"step": 0, "file": 0}
        self.kind, self.number = kind, number

    def count(self, kind, before_kill=lambda: None):
        self.counts[kind] += 1
        if kind == self.kind and self.counts[kind] == self.number:
            self.number = None
            before_kill()
            os.kill(os.getpid(), signal.SIGKILL)

    def install(self):
        """Count the file calls of `os` and the steps of the environments."""
        real = {name: getattr(os, name) for name in FILE_CALLS}

        def halve(descriptor):
            """Lose half of a file that was not yet synced; a file that is open for reading was synced before."""
            writable = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
            if writable and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)

        def counted(name):
            def call(*args, **kwargs):
                interrupt = lambda: None  # noqa: E731
                if name == "fsync":
                    interrupt = lambda: halve(args[0])  # noqa: E731
                elif name == "write":
                    interrupt = lambda: real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])  # noqa: E731
                self.count("file", interrupt)
                result = real[name](*args, **kwargs)
                self.count("file")
                return result

            return call

        for name in FILE_CALLS:
            setattr(os, name, counted(name))
        step = RewardedVector.step

        def counted_step(vector, actions):
            self.count("step")
            return step(vector, actions)

        RewardedVector.step = counted_step


def attempt(config, directory, moments):
    """Train or resume, in this process."""
    learn = Training.learn

    def learn_and_save(training, stop):
        status = learn(training, stop)
        kind, moments.kind = moments.kind, None
        runs.write_checkpoint(Path(f"{directory}.final"), "state", *training.agent.state())
        moments.kind = kind
        return status

    Training.learn = learn_and_save
    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    resume = (directory / "run.json").exists()
    directory.mkdir(exist_ok=True)
    moments.install()
    with runs.lock(directory):
        train(config, directory, tracker=tracker, resume=resume)
    Path(f"{directory}.moments").write_text(json.dumps(moments.counts))


def fork_attempt(config, directory, moments):
    """Run an attempt in a forked process; returns its status as `os.waitpid` does."""
    child = os.fork()
    if child == 0:
        try:
            attempt(config, directory, moments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def import_everything():
    """Import all modules that attempts need, before the first fork."""
    for folder in ("agents", "rl_eval/envs", "rl_eval/metrics", "rl_eval/policy"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def main(folder, kills, seed, *overrides):
    import_everything()
    folder, config = Path(folder), configs.load(compose(ROOT / "conf", overrides))
    assert fork_attempt(config, folder / "uninterrupted", KillMoments()) == 0
    counts = json.loads((folder / "uninterrupted.moments").read_text())
    rng = np.random.default_rng(int(seed))
    kill_count = number = 0
    while kill_count < int(kills):
        directory = folder / f"killed_{number}"
        kind = str(rng.choice(["step", "file"]))
        status = fork_attempt(config, directory, KillMoments(kind, int(rng.integers(1, 2 + counts[kind] // 3))))
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        assert killed or status == 0, status
        kill_count += killed
        number += not killed or runs.read_run(directory).finished if (directory / "run.json").exists() else 0
    directory = folder / f"killed_{number}"
    while directory.exists() and not ((directory / "run.json").exists() and runs.read_run(directory).finished):
        assert fork_attempt(config, directory, KillMoments()) == 0
    print(json.dumps({"kills": kill_count, "moments": counts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
