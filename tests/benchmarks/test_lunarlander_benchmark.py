"""When a policy counts as landed, and what the clock does not count."""

import argparse
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks import lunarlander, peer_models
from benchmarks.lunarlander import BAR, MAX_RETURN, mean_unless_hopeless, summary
from benchmarks.training_clock import TrainingClock

returns = arrays(np.float64, st.integers(1, 60), elements=st.floats(-500, MAX_RETURN))


@given(returns, st.integers(1, 10))
def test_leaving_early_never_changes_which_side_of_the_bar(values, at_once):
    parts = (values[i : i + at_once] for i in range(0, len(values), at_once))
    results = mean_unless_hopeless(parts, len(values))
    assert (results > BAR) == (values.sum() / len(values) > BAR) or math.isclose(values.mean(), BAR)


def test_play_ends_once_the_rest_cannot_help():
    counted = []

    def parts():
        for number in range(100):
            counted.append(number)
            yield np.array([-100.0])

    assert mean_unless_hopeless(parts(), 100) <= BAR
    assert len(counted) == 31  # 31 x -100 + 69 x 330 = 19,670, the first sum below 20,000; 30 give 20,100


def play_with(monkeypatch, means):
    """A check whose episodes all return the next of `means`, and the seeds that it played."""
    played_seeds = []

    class Part:
        def __init__(self, value, count):
            self.values = np.full(count, value)

        def per_episode(self, name):
            return self.values

    def stream(vector, policy, *, seeds):
        played_seeds.append(tuple(seeds))
        yield Part(means.pop(0), len(seeds))

    monkeypatch.setattr("rl_eval.rollout.stream", stream)
    monkeypatch.setattr("rl_eval.domains.make", lambda *_, **__: None)
    return lunarlander.checking(), played_seeds


def test_a_first_check_above_the_bar_is_confirmed_on_fresh_episodes(monkeypatch):
    check, played_seeds = play_with(monkeypatch, [150.0, 210.0, 190.0, 210.0, 205.0])
    assert check(None, 0) == (pytest.approx(150.0), False)
    assert check(None, 1) == (pytest.approx(190.0), False)  # the 400 others are below the bar, so training continues
    assert check(None, 2) == (pytest.approx(205.0), True)
    first, second, confirming, third, confirming_again = played_seeds
    assert first == second == third
    assert len(first) == 100
    assert len(confirming) == len(confirming_again) == 400
    assert not {*first} & {*confirming} | {*first} & {*confirming_again} | {*confirming} & {*confirming_again}


def test_exactly_the_bar_is_not_above_it(monkeypatch):
    check, _ = play_with(monkeypatch, [BAR])
    assert check(None, 0)[1] is False


def test_checks_are_spaced_by_env_steps_and_stop_once_it_is_good_enough():
    checked = []

    def check(policy, before):
        checked.append((policy, before))
        return 1.0, policy == 40

    clock = TrainingClock(time.perf_counter(), 16, check)
    keep_going = [clock.after_update(steps, lambda steps=steps: steps) for steps in (8, 16, 24, 40, 48, 64)]
    assert checked == [(16, 0), (40, 1)]  # the first updates at or after 16 and 32
    assert keep_going == [True, True, True, False, False, False]
    assert clock.env_steps == 40


def test_time_spent_checking_is_off_the_clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("benchmarks.training_clock.time.perf_counter", lambda: now[0])

    def check(policy, before):
        now[0] += 50.0
        return 1.0, before == 1

    clock = TrainingClock(90.0, 10, check)
    clock.after_update(10, lambda: None)
    now[0] += 3.0
    clock.after_update(20, lambda: None)
    assert clock.seconds == 13.0  # 10 before the first check, 3 after it
    assert clock.checking_s == 100.0


def seed(seconds):
    return {"seconds": seconds}


def test_the_ratio_is_by_medians_and_by_pairs_of_one_round():
    results = summary({"ours": [seed(4.0), seed(5.0), seed(9.0)], "peer": [seed(80.0), seed(60.0)]})
    assert results["ratio of medians"] == 14.0
    assert results["ratio"] == {"median": 16.0, "min": 12.0, "max": 20.0}


def test_a_seed_that_did_not_arrive_counts_against_its_side():
    results = summary({"ours": [seed(None), seed(5.0)], "peer": [seed(50.0), seed(None)]})
    assert results["ours"]["max"] == math.inf
    assert results["ratio"]["min"] == 0.0
    assert results["ratio"]["max"] == math.inf


SMALL = {
    "ppo": ["agent.n_envs=4", "agent.n_steps=16", "agent.batch_size=64", "agent.n_epochs=1", "env.workers=1"],
    "dqn": ["agent.n_envs=4", "agent.batch_size=64", "env.workers=1"],
}


@pytest.mark.parametrize("agent", ["ppo", "dqn"])
@pytest.mark.parametrize("side", ["ours", "peer"])
def test_a_tiny_budget_is_not_reached(side, agent, monkeypatch):
    if side == "peer":
        pytest.importorskip("stable_baselines3")
        monkeypatch.setitem(peer_models.ZOO["ppo"], "n_steps", 32)
    args = argparse.Namespace(
        side=side, agent=agent, seed=1, budget=512, every=10**9, started_at=time.perf_counter(), backend=None,
        peer_threads=1, overrides=SMALL[agent],
    )  # fmt: skip
    results = lunarlander.side(args)
    assert results["seconds"] is None
    assert results["env_steps"] == 512
    assert results["checks"] == 0
