"""The buffer of live training, on cycles that are made up: what is kept, replayed and worth learning from."""

import numpy as np
import pytest

from rl_eval.domains.qase.live import BLOCKED, FAILED, NOT_RUN, PASSED, CycleResult
from rl_eval.domains.qase.live.vector import LiveTraining
from rl_eval.errors import InputError
from tests.domains.qase.live.live_steps import CASES, SMALL, levels, play_steps


class Pretended:
    """Cycles that end by chance, by the seed and the number of the cycle, whatever their order."""

    def __init__(self, fails=0.1, blocks=0.1, seed=0, changed=None):
        self.fails, self.blocks, self.seed, self.changed = fails, blocks, seed, changed
        self.count, self.budgets = 0, []

    def run(self, order, build, budget_ms=np.inf):
        rng = np.random.default_rng([self.seed, self.count])
        if self.changed == self.count:
            rng = np.random.default_rng(99)
        self.count += 1
        self.budgets.append(budget_ms)
        kind = rng.random(CASES)
        status = np.where(kind < self.blocks, BLOCKED, np.where(kind > 1 - self.fails, FAILED, PASSED)).astype(np.int8)
        duration = rng.integers(1, 1000, CASES).astype(float)
        spent = np.empty(CASES)
        spent[order] = np.cumsum(duration[order])
        ran = spent <= budget_ms
        status[~ran] = NOT_RUN
        verdict = np.where(status == FAILED, 1, np.where(status == PASSED, 0, -1)).astype(np.int8)
        reasons = tuple("Too late." if s == BLOCKED else "" for s in status)
        return CycleResult(status, verdict, duration * ran, np.zeros(CASES, np.int64), ran, reasons, 0.0, False)

    def run_all_cases(self, build, name):
        return self.run(np.arange(CASES), build)


@pytest.fixture
def pretend(monkeypatch):
    """A live training on cycles of chance, and what makes them up."""

    def make(n_envs, *, pretended=None, **config):
        pretended = pretended or Pretended()
        monkeypatch.setattr("rl_eval.domains.qase.live.vector.connect", lambda _: pretended)
        vector = LiveTraining(SMALL.model_copy(update=config), n_envs=n_envs)
        return vector, pretended

    return make


@pytest.mark.parametrize(("n_envs", "keep", "fails"), [(1, 1, 0.1), (1, 4, 0.1), (5, 1, 0.01), (5, 2, 0.005)])
def test_what_a_copy_plays_stays_as_it_was_until_its_end(pretend, n_envs, keep, fails):
    """Also where most cycles have no failure, so that there is nothing to learn from but what came last."""
    vector, pretended = pretend(n_envs, pretended=Pretended(blocks=0.3), keep=keep)
    vector.reset(seed=0)
    pretended.fails = fails
    record, last = vector._record, vector._slots
    stored = [None] * n_envs
    live, failing, idle = 0, 0, 0
    for step_actions in levels(9 * CASES, n_envs):
        for copy in range(n_envs):
            rows = vector._rows[copy, : vector._length[copy]]
            if vector._time[copy] == 0:
                stored[copy] = [getattr(record, name)[rows].copy() for name in ("features", "verdict", "duration_ms")]
                failing += stored[copy][1].any()
                idle += vector._episode[copy] != last and not stored[copy][1].any()
                assert n_envs == 1 or (vector._episode[copy] == last) == (copy == 0)
            for before, name in zip(stored[copy], ("features", "verdict", "duration_ms"), strict=True):
                np.testing.assert_array_equal(before, getattr(record, name)[rows])
        before = vector._episode.copy()
        obs, _, done, _, _ = vector.step(step_actions)
        live += done[0] and before[0] == last
        assert np.isfinite(obs).all()
        assert n_envs > 1 or not done[0] or (before[0] == last) != (vector._episode[0] == last), "in turn"
    assert pretended.count == SMALL.warmup + live
    assert failing
    assert bool(idle) == (fails < 0.1)


def test_kept_cycles_are_those_of_the_newest_with_a_failure(pretend):
    vector, pretended = pretend(8, keep=3)
    vector.reset(seed=0)
    for step_actions in levels(6 * CASES, 8):
        vector.step(step_actions)
        newest = {(pretended.count - 1 - back) % vector._slots for back in range(3)}
        begun = vector._episode[1:][vector._time[1:] == 0]
        assert set(begun.tolist()) <= newest


def test_observations_do_not_depend_on_results_of_the_next_cycle(pretend):
    recorded = []
    for changed in (None, SMALL.warmup):  # the first that the agent orders
        vector, _ = pretend(2, pretended=Pretended(changed=changed))
        first, _ = vector.reset(seed=0)
        steps = play_steps(vector, levels(CASES + 20, 2))
        recorded.append((np.concatenate([first[None], steps["obs"]]), steps["verdict"], vector._budget_ms.copy()))
    (one, told_one, _), (other, told_other, _) = recorded
    np.testing.assert_array_equal(one[:CASES, 0], other[:CASES, 0])
    np.testing.assert_array_equal(told_one[:CASES, 0], 0)
    np.testing.assert_array_equal(told_other[:CASES, 0], 0)
    assert (one[CASES:, 0] != other[CASES:, 0]).any()


@pytest.mark.parametrize(("budget", "limit"), [(None, np.inf), ("20s", 20_000.0), (0.25, None)])
def test_a_budget_is_a_time_or_a_share_of_the_time_that_all_cases_are_expected_to_take(pretend, budget, limit):
    vector, pretended = pretend(2, budget=budget)
    vector.reset(seed=0)
    assert pretended.budgets == [np.inf] * SMALL.warmup, "the warm-up is whole"
    mean = np.mean([cycle.duration_ms for cycle in vector._cycles], axis=0)  # every case ran in each
    play_steps(vector, levels(CASES, 2))
    assert pretended.budgets[-1] == pytest.approx(0.25 * mean.sum() if limit is None else limit)
    position = (pretended.count - 1) % vector._slots
    assert vector._record.lengths[position] == (vector._cycles[-1].verdict >= 0).sum(), "what came to a verdict is kept"
    assert (vector._record.lengths[position] < CASES / 2) == (budget is not None)


def test_where_nothing_fails_there_is_nothing_to_learn(pretend):
    vector, _ = pretend(2, pretended=Pretended(fails=0.0, blocks=0.0))
    with pytest.raises(InputError, match="no case fails in the 2 cycles of the warm-up, so there is nothing"):
        vector.reset(seed=0)
    vector, _ = pretend(2, pretended=Pretended(blocks=1.0))
    with pytest.raises(InputError, match=rf"\({CASES} of {CASES} cases were blocked in the last cycle: Too late\), so"):
        vector.reset(seed=0)


def test_a_cycle_in_which_every_case_is_blocked_is_worth_nothing_and_training_goes_on(pretend):
    vector, pretended = pretend(2)
    vector.reset(seed=0)
    pretended.blocks = 1.0
    outcome = play_steps(vector, levels(3 * CASES, 2))
    ends = outcome["cycle_end"][:, 0]
    assert ends.sum() == 3
    assert (outcome["failures"][ends, 0] == 0).all()
    assert np.isnan(outcome["apfd"][ends, 0]).all()
    assert pretended.count == SMALL.warmup + 3
