"""Environment copies that a list of whole episodes records, and replay buffers that are filled from them."""

from collections import namedtuple

import numpy as np
import pytest

from agents.replay import ReplayBuffer

GAMMA = 0.75
NOWHERE = -1.0  # the observation after a termination, which is not read
Row = namedtuple("Row", "obs action reward end next_obs step")  # end: "", "terminated" or "truncated"


class InOrder:
    """Draws every slot once, in order, so that a batch of the whole buffer is all there is in it."""

    def integers(self, high, size):
        return np.arange(size) % high


class Copies:
    """N copies of an environment whose observations are all different, beside a list of what each went through."""

    def __init__(self, n_envs, seed, end_rate):
        self.rng, self.n, self.end_rate = np.random.default_rng(seed), n_envs, end_rate
        self.observations = 0
        self.obs = self.new()
        self.resetting = np.zeros(n_envs, bool)  # the episode is over, and the next step resets
        self.rows = [
            [] for _ in range(n_envs)
        ]  # of each copy, what takes a slot: a Row, or None for a final observation
        self.steps = 0

    def new(self):
        self.observations += self.n
        return np.stack([np.arange(self.observations - self.n, self.observations)] * 2, axis=1).astype(np.float32)

    def step(self, buffer, next_step):
        rng, n = self.rng, self.n
        valid = ~self.resetting
        ends = rng.choice(["", "terminated", "truncated", "both"], n, p=[1 - 3 * self.end_rate, *[self.end_rate] * 3])
        ends[~valid] = ""
        terminated, truncated = np.isin(ends, ["terminated", "both"]), np.isin(ends, ["truncated", "both"])
        ends[ends == "both"] = "terminated"
        actions, rewards = rng.integers(0, 5, n), rng.normal(size=n).astype(np.float32)
        after, first = self.new(), self.new()
        if next_step:
            buffer.add(self.obs, actions, rewards, terminated, truncated, None, valid)
        else:
            final = np.where(truncated[:, None], after, np.nan)  # read nowhere else
            buffer.add(self.obs, actions, rewards, terminated, truncated, final if truncated.any() else None)
        self.steps += valid.sum()
        for i in range(n):
            if valid[i]:
                self.rows[i].append(Row(self.obs[i, 0], actions[i], rewards[i], ends[i], after[i, 0], self.steps))
                if ends[i] == "truncated" and not next_step:
                    self.rows[i].append(None)
            elif self.rows[i] and self.rows[i][-1] is not None and self.rows[i][-1].end == "truncated":
                self.rows[i].append(None)
        done = terminated | truncated
        if next_step:  # `after` is returned, and the reset comes with the step after it
            self.obs = np.where(self.resetting[:, None], first, after)
            self.resetting = done
        else:
            self.obs = np.where(done[:, None], first, after)

    def cut(self, buffer):
        buffer.cut(self.obs)
        for rows in self.rows:
            if rows and rows[-1] is not None and rows[-1].end != "terminated":
                rows[-1] = rows[-1]._replace(end="truncated")
                rows.append(None)
        self.obs, self.resetting = self.new(), np.zeros(self.n, bool)

    def expected(self, slots, n_step):
        """Every transition that can be drawn, by its observation: the definition, one step after the other."""
        transitions = {}
        for rows in self.rows:
            kept = rows[-slots:]
            for i, row in enumerate(kept):
                if row is None:
                    continue
                total, discount = 0.0, 1.0
                for k, at in enumerate(kept[i : i + n_step]):
                    total += discount * float(at.reward)
                    discount *= GAMMA
                    come = i + k + 1 < len(kept)  # the slot that holds the observation it led to
                    if at.end == "terminated":
                        transitions[row.obs] = (row.action, total, NOWHERE, 0.0, self.steps - row.step)
                    elif (at.end or k == n_step - 1) and come:
                        transitions[row.obs] = (row.action, total, at.next_obs, discount, self.steps - row.step)
                    if at.end:
                        break
        return transitions


def everything(buffer):
    """Every transition that can be drawn, by its observation."""
    if not len(buffer):
        return {}
    batch = buffer.sample(len(buffer), InOrder())
    np.testing.assert_array_equal(batch.obs[:, 0], batch.obs[:, 1])
    np.testing.assert_array_equal(batch.next_obs[:, 0], batch.next_obs[:, 1])
    assert_slot_and_time_identify(buffer, batch)
    transitions = {
        obs[0]: (action, total, after[0] if discount else NOWHERE, discount, age)
        for obs, action, total, after, discount, age in zip(
            batch.obs, batch.actions, batch.returns, batch.next_obs, batch.discounts, batch.age, strict=True
        )
    }
    assert len(transitions) == len(buffer) == len(set(batch.index.tolist()))
    return transitions


def assert_slot_and_time_identify(buffer, batch):
    """A slot and the env steps when it was written identify an observation, as long as the buffer is used."""
    np.testing.assert_array_equal(buffer.state()[0]["obs"][batch.next_index], batch.next_obs)
    identified = buffer.__dict__.setdefault("identified", {})
    for slot, written, obs in zip(batch.next_index, batch.next_written, batch.next_obs[:, 0], strict=True):
        assert identified.setdefault((slot, written), obs) == obs


def assert_same(transitions, expected):
    assert transitions.keys() == expected.keys()
    for obs, values in expected.items():
        assert transitions[obs] == pytest.approx(values, rel=1e-5, abs=1e-6), obs


def one_copy(rewards, ends, n_step, capacity=20, **keywords):
    """A buffer of one copy whose observations are 0, 1, 2, …, and those that episodes ended on 100, 101, …."""
    buffer = ReplayBuffer(capacity, 1, (), gamma=0.5, n_step=n_step, **keywords)
    for t, (reward, end) in enumerate(zip(rewards, ends, strict=True)):
        buffer.add(*np.array([[t], [t], [reward]], float), [end == "T"], [end == "C"], np.array([100.0 + t]))
    return buffer


OPTIONS = {
    "uniform": {"priority_alpha": None},
    "prioritised": {"priority_alpha": 0.6},
    "memmap": {"priority_alpha": 0.6, "storage": "memmap"},
}


def filled_buffer(options, seed, steps, next_step, folder):
    """A buffer that was added to and drawn from, its environment, and its generator."""
    keywords = OPTIONS[options] | ({"folder": folder} if options == "memmap" else {})
    buffer = ReplayBuffer(90, 3, (2,), gamma=GAMMA, n_step=3, **keywords)
    copies, rng = Copies(3, seed, 0.1), np.random.default_rng(seed)
    add_and_draw(buffer, copies, rng, steps, next_step)
    return buffer, copies, rng


def add_and_draw(buffer, copies, rng, steps, next_step):
    drawn = []
    for _ in range(steps):
        copies.step(buffer, next_step)
        if len(buffer) >= 8:
            batch = buffer.sample(8, rng, beta=0.4)
            buffer.update_priorities(batch.index, rng.exponential(size=8))
            drawn.append(batch)
    return drawn
