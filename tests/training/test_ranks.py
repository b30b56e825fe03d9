"""Runs on two ranks: against one rank, and what happens when a rank or the run is ended."""

import multiprocessing
import os
import shutil
import signal
import threading

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.exposure import read_exposure
from rl_eval.hydra_compose import compose
from rl_eval.training import _ranks
from rl_eval.training._ranks import Leader
from tests.training.learn import ROOT, learn

RUN = [
    "agent=ppo", "env=cartpole", "judge=off", "seed=3", "total_steps=3072", "validation.every=1024",
    "validation.episodes=2", "validation.stop_at=null", "checkpoint_every=1024", "resume_every=1024", "log_every=1024",
    "agent.n_envs=8", "agent.n_steps=64", "agent.batch_size=256", "agent.n_epochs=2", "agent.network.widths=[8]",
]  # fmt: skip
TWO = [*RUN, "hardware=ddp", "hardware.ranks=2"]


@pytest.mark.parametrize(
    ("overrides", "named"),
    [(["agent=dqn"], "agent=dqn"), (["agent.n_envs=7"], "n_envs=7"), (["agent.network.norm=batch"], "norm=batch")],
)
def test_what_ranks_cannot_do_is_refused_before_the_run(overrides, named):
    with pytest.raises(InputError, match=named):
        configs.load(compose(ROOT / "conf", ["env=cartpole", "hardware=ddp", *overrides]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run on two ranks that nothing disturbed."""
    return learn(TWO, tmp_path_factory.mktemp("runs") / "two")


def policy(trained):
    return run.read_checkpoint(trained.snapshots()[-1], "policy")[0]


@pytest.mark.verify
def test_two_ranks_give_the_run_of_one(whole, tmp_path):
    one = learn(RUN, tmp_path / "one")
    assert whole.finished
    for name, array in policy(one).items():
        np.testing.assert_allclose(policy(whole)[name], array, rtol=1e-5, atol=1e-6)
    for key in ("env_steps", "gradient_steps", "episodes", "steps_finished", "steps_in_flight", "steps_cut"):
        assert whole.info[key] == one.info[key], key
    assert whole.info["hardware"]["ranks"] == 2
    recorded = [read_exposure(trained.path) for trained in (whole, one)]
    np.testing.assert_array_equal(recorded[0].train.exact, recorded[1].train.exact)
    np.testing.assert_array_equal(recorded[0].train.counts, recorded[1].train.counts)


@pytest.mark.verify
def test_a_killed_rank_ends_the_run_which_goes_on_to_the_same_bytes(whole, tmp_path):
    def kill_follower(step, *_):
        if step >= 1536 and (children := multiprocessing.active_children()):
            os.kill(children[0].pid, signal.SIGKILL)

    directory = tmp_path / "killed"
    killed = learn(TWO, directory, on_step=kill_follower)
    assert killed.info["status"] == "failed"
    assert "rank 1" in killed.info["reason"]
    assert "SIGKILL" in killed.info["reason"]
    assert not multiprocessing.active_children()
    resumed = learn([], directory, resume=True)
    assert resumed.finished
    for name, array in policy(whole).items():
        np.testing.assert_array_equal(policy(resumed)[name], array)
    recorded = [read_exposure(trained.path) for trained in (whole, resumed)]
    np.testing.assert_array_equal(recorded[0].train.exact, recorded[1].train.exact)


@pytest.mark.verify
def test_a_stop_signal_ends_all_ranks(tmp_path):
    stopped = learn(TWO, tmp_path / "stopped", stop_at=1024)
    assert stopped.info["status"] == "interrupted"
    assert not multiprocessing.active_children()


@pytest.mark.verify
def test_a_rank_that_is_lost_while_rank_0_waits_in_native_code_ends_the_run(whole, tmp_path, monkeypatch):
    class EndedError(Exception):
        pass

    def end(status):
        raise EndedError(status)

    shutil.copytree(whole.path, tmp_path / "run")
    gone = multiprocessing.get_context("spawn").Process(target=os.abort, daemon=True)
    gone.start()
    leader = Leader.__new__(Leader)
    leader._processes, leader._pipes = [gone], [multiprocessing.Pipe()[0]]
    leader._directory, leader._closing, leader.count = tmp_path / "run", threading.Event(), 2
    monkeypatch.setattr(_ranks, "STUCK_S", 0.0)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(EndedError, match="1"):
        leader._watch()
    ended = run.read_run(tmp_path / "run")
    assert ended.info["status"] == "failed"
    assert "SIGABRT" in ended.info["reason"]
