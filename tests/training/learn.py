"""Train or resume a run in this process, with a stop signal at a chosen step."""

import signal
from pathlib import Path
from unittest.mock import patch

from rl_eval import config as configs
from rl_eval import run, stop_signals
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train

ROOT = Path(__file__).resolve().parents[2]


def learn(
    overrides,
    directory,
    *,
    stop_at=None,
    stop_signal=signal.SIGTERM,
    resume=False,
    notice=lambda _: None,
    on_step=lambda *_: None,
):
    """The run of some overrides; `stop_at` sends a signal to this process once that many env steps are taken."""
    config = configs.load(run.read_run(directory).config if resume else compose(ROOT / "conf", overrides))
    directory.mkdir(exist_ok=True)

    def after_step(env_steps, *rest):
        on_step(env_steps, *rest)
        if stop_at is not None and env_steps >= stop_at:
            signal.raise_signal(stop_signal)

    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    with patch.object(stop_signals, "GRACE_S", 600.0):  # the iteration is finished, however slow the machine is
        return train(config, directory, tracker=tracker, on_step=after_step, notice=notice, resume=resume)
