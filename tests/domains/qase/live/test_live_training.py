"""Live training on the embedded service: what runs, states taken, services that die, whole runs."""

import json
import os
import signal

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval import run as runs
from rl_eval.domains.qase.live import bug_ids, session
from rl_eval.domains.qase.live.vector import LiveTraining
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train
from tests.domains.qase.live.live_steps import CASES, ROOT, SMALL, assert_same, levels, play_steps
from tests.run_bytes import content


def test_what_the_first_copy_orders_is_what_runs_and_what_the_others_then_play(recorded_cycles):
    vector = LiveTraining(SMALL.model_copy(update={"keep": 1}), n_envs=3)
    obs, _ = vector.reset(seed=0)
    recorded_cycles.clear()  # the warm-up
    observed_, replayed = [], []
    for step_actions in levels(CASES, 3):
        case = int(vector._record.case[vector._rows[0, vector._time[0]]])
        observed_.append((case, int(step_actions[0])))
        replayed.append((case, obs[0]))
        last = obs
        obs, reward, done, _, infos = vector.step(step_actions)
        assert infos["outcome"]["pairs"][0] == reward[0] == 0
        assert infos["outcome"]["failure_share"][0] == 0
        assert len(recorded_cycles) == done[0]
    assert done[0]
    np.testing.assert_array_equal(infos["final_obs"][0], last[0])
    ((order, bugs, cycle),) = recorded_cycles
    by_level = sorted(observed_, key=lambda pair: -pair[1])  # ties as they were shown
    assert order == [case for case, _ in by_level]
    assert bugs == bug_ids(session.part_schedule(SMALL, "train", 9)[SMALL.warmup])
    outcome = infos["outcome"]
    assert outcome["failures"][0] == outcome["found"][0] == (cycle.verdict == 1).sum() > 0
    assert outcome["bugs"][0] == len(bugs) >= outcome["bugs_found"][0] > 0

    # only the newest cycle is kept, so it is what the others begin next
    features = dict(replayed)
    playing = done & (np.arange(3) > 0)
    verdicts = {}
    for step_actions in levels(2 * CASES, 3, seed=1):
        case = vector._record.case[vector._rows[np.arange(3), vector._time]]
        for copy in np.flatnonzero(playing):
            np.testing.assert_array_equal(obs[copy], features[int(case[copy])])
        obs, _, done, _, infos = vector.step(step_actions)
        if len(recorded_cycles) > 1:
            break
        for copy in np.flatnonzero(playing):
            verdicts.setdefault(copy, {})[int(case[copy])] = int(infos["outcome"]["verdict"][copy])
        playing &= ~done
    assert len(verdicts) == 2
    for result in verdicts.values():
        assert all(cycle.verdict[case] == verdict for case, verdict in result.items())
        assert 1 in result.values()


def test_a_state_taken_goes_on_to_the_bit_without_another_warm_up(recorded_cycles):
    one, other = LiveTraining(SMALL, n_envs=3), LiveTraining(SMALL, n_envs=3)
    one.reset(seed=7)
    play_steps(one, levels(CASES + 40, 3))
    state = runs.split_state(one.get_state())
    recorded_cycles.clear()
    other.set_state(runs.join_state(state[0], json.loads(json.dumps(state[1]))))
    assert recorded_cycles == []
    actions = levels(CASES, 3, seed=1)
    assert_same(play_steps(one, actions), play_steps(other, actions))
    assert len(recorded_cycles) == 2
    assert recorded_cycles[0][0] == recorded_cycles[1][0]
    assert_same(one.get_state()["buffer"], other.get_state()["buffer"])
    with pytest.raises(ValueError, match="shape"):
        LiveTraining(SMALL.model_copy(update={"keep": 5}), n_envs=3).set_state(one.get_state())


def test_a_service_that_dies_in_a_cycle_is_one_sentence_and_another_goes_on_to_the_bit(monkeypatch):
    before, after = levels(CASES - 1, 2), levels(30, 2, seed=4)
    unharmed = LiveTraining(SMALL, n_envs=2)
    unharmed.reset(seed=3)
    play_steps(unharmed, before)
    monkeypatch.setattr(session, "_sessions", {})  # what starts now is to die
    vector = LiveTraining(SMALL, n_envs=2)
    vector.reset(seed=3)
    play_steps(vector, before)
    state = vector.get_state()
    (connection,) = session._sessions.values()
    monkeypatch.setattr(connection, "service", RunnerDiesAfter(connection.service, 9))
    with pytest.raises(InputError, match=r"does not answer: start it; .* resume=<the run>`$") as error:
        vector.step(after[0])
    assert "\n" not in str(error.value)
    again = LiveTraining(SMALL, n_envs=2)
    again.set_state(state)
    (another,) = session._sessions.values()
    assert another is not connection
    assert_same(play_steps(unharmed, after), play_steps(again, after))
    another.close()


class RunnerDiesAfter:
    """The control of the embedded service, which is killed before the n-th case."""

    def __init__(self, running, count):
        self._running, self._left = running, count
        self.alive, self.switch, self.close = running.alive, running.switch, running.close

    def reset(self):
        self._left -= 1
        if self._left < 0:
            os.kill(self._running._process.pid, signal.SIGKILL)
            self._running._process.wait()
        self._running.reset()


RUN = [
    "env=qase", "env.mode=live", "env.warmup=3", "env.keep=4", "env.held_out_cycles=4", "total_steps=2048",
    "agent.n_envs=4", "agent.n_steps=16", "agent.batch_size=32", "agent.n_epochs=1", "log_every=128",
    "resume_every=512", "checkpoint_every=512", "validation.every=1024", "validation.episodes=2",
]  # fmt: skip


def learn(directory, resume=False):
    config = configs.load(runs.read_run(directory).config if resume else compose(ROOT / "conf", RUN))
    directory.mkdir(exist_ok=True)
    tracker = open_tracker(config.tracker, run_dir=directory, config={})
    return train(config, directory, tracker=tracker, resume=resume)


@pytest.mark.verify
def test_a_run_whose_service_was_killed_is_resumed_to_the_bytes_of_one_whose_service_was_not(tmp_path, monkeypatch):
    assert learn(tmp_path / "whole").finished
    monkeypatch.setattr(session, "_sessions", {})
    calls, real = [], session.run_cycle

    def deadly(runner, shop, *rest):
        calls.append(runner)
        dies = learning and len(calls) == learning[0] + 3 and len(learning) == 1
        return real(runner, RunnerDiesAfter(shop, 20) if dies else shop, *rest)

    learning = []
    step = LiveTraining.step

    def stepped(vector, actions):
        if not learning:
            learning.append(len(calls))  # cycles of the warm-up and of the validation part
        return step(vector, actions)

    monkeypatch.setattr(session, "run_cycle", deadly)
    monkeypatch.setattr(LiveTraining, "step", stepped)
    failed = learn(tmp_path / "killed")
    assert failed.info["status"] == "failed"
    assert "does not answer" in failed.info["reason"]
    assert runs.step_directories(failed.path / "resume")
    learning.append(None)
    assert learn(tmp_path / "killed", resume=True).finished
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
