"""Cycles of cases within a time budget, and the schedule of builds."""

import os
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_eval.domains.qase import service
from rl_eval.domains.qase.live import (
    BLOCKED,
    FAILED,
    NOT_RUN,
    NOT_RUNNABLE,
    PASSED,
    Runner,
    bug_ids,
    cycle,
    draw_builds,
    run_cycle,
)
from rl_eval.domains.qase.live.build_schedule import MAX_BUGS
from rl_eval.domains.qase.service import BUG_IDS, BUGS, project
from rl_eval.errors import InputError
from rl_eval.net import RequestError

CASES = project().cases


@pytest.fixture(scope="module")
def shop():
    with service.start() as running:
        yield running


@pytest.fixture(scope="module")
def runner(shop):
    with Runner(shop.base_url, truth_token=shop.token) as running:
        yield running


@settings(max_examples=8)
@given(st.permutations(range(40)), st.floats(0, 4000))
def test_what_ran_is_a_prefix_of_the_order_that_fits_the_budget(shop, runner, order, budget_ms):
    complete = run_cycle(runner, shop, CASES[:40], order, None, ["B04", "B06"])
    result = run_cycle(runner, shop, CASES[:40], order, budget_ms, ["B04", "B06"])
    ends = np.cumsum(complete.duration_ms[order])
    fits = np.cumprod(ends <= budget_ms).astype(bool)
    assert (result.ran[order] == fits).all()
    assert (result.verdict[result.ran] == complete.verdict[result.ran]).all()
    assert (result.status[~result.ran] == NOT_RUN).all()
    assert (result.verdict[~result.ran] == -1).all()
    assert result.spent_ms == result.duration_ms.sum() <= budget_ms


def test_arrays_are_aligned_with_the_cases_and_have_their_types(shop, runner):
    result = run_cycle(runner, shop, CASES, [127, 2, 0], None, ["B03"])
    assert [result.status[i] for i in (127, 2, 0, 1)] == [NOT_RUNNABLE, FAILED, PASSED, NOT_RUN]
    assert [result.verdict[i] for i in (127, 2, 0, 1)] == [-1, 1, 0, -1]
    assert result.bugs[2] == 1 << BUG_IDS.index("B03")
    assert result.ran.sum() == 2
    kinds = [getattr(result, name).dtype for name in ("status", "verdict", "duration_ms", "bugs", "ran")]
    assert kinds == [np.int8, np.int8, np.float64, np.int64, bool]
    assert len(result.reasons) == len(CASES)


def test_a_muted_case_has_a_status_and_no_verdict(shop, runner):
    muted = [CASES[2].model_copy(update={"is_muted": True})]
    result = run_cycle(runner, shop, muted, [0], None, ["B03"])
    assert (result.status[0], result.verdict[0], result.bugs[0]) == (FAILED, -1, 4)


@pytest.mark.parametrize("order", [[0, 0], [-1], [len(CASES)], [[0]]])
def test_orders_that_are_none_are_refused(runner, shop, order):
    with pytest.raises(InputError, match="at most once"):
        run_cycle(runner, shop, CASES, order)


def test_bugs_need_the_embedded_service(runner):
    with pytest.raises(InputError, match="only the embedded service"):
        run_cycle(runner, None, CASES, [0], bugs=["B01"])


class ServiceDiesAfter:
    """The control of a service that is killed before the n-th case."""

    def __init__(self, running, count):
        self._running, self._left = running, count
        self.alive = running.alive
        self.switch = running.switch

    def reset(self):
        self._left -= 1
        if self._left < 0:
            os.kill(self._running._process.pid, signal.SIGKILL)
            self._running._process.wait()
        self._running.reset()


def test_a_service_that_is_killed_in_a_cycle_blocks_and_ends_it():
    with service.start(["B03"]) as running, Runner(running.base_url, truth_token=running.token) as asking:
        result = run_cycle(asking, ServiceDiesAfter(running, 3), CASES, range(20))
        assert result.service_gone
        assert result.status[:5].tolist() == [PASSED, PASSED, FAILED, BLOCKED, NOT_RUN]
        assert result.verdict[3] == -1
        assert "127.0.0.1" in result.reasons[3]
        again = run_cycle(asking, running, CASES, range(20), bugs=["B01"])
        assert again.service_gone
        assert not again.ran.any()
        without = run_cycle(asking, None, CASES, range(20))  # nobody to ask whether it lives
        assert without.service_gone
        assert (without.status == BLOCKED).sum() == cycle.MAX_UNREACHED
        with pytest.raises(RequestError):
            running.reset()


@settings(max_examples=25)
@given(st.integers(0, 2**63), st.integers(0, 60), st.integers(0, 60))
def test_fewer_builds_are_the_first_of_more(seed, some, more):
    assert (draw_builds(seed, some + more)[:some] == draw_builds(seed, some)).all()


@pytest.mark.parametrize("seed", range(4))
def test_builds_have_a_few_bugs_that_come_and_go(seed):
    schedule = draw_builds(seed, 1500)
    count = schedule.sum(1)
    assert schedule.shape == (1500, len(BUGS))
    assert count.min() >= 1
    assert count.max() <= MAX_BUGS
    assert 2.5 < count.mean() < 3.5
    assert schedule.any(0).all()
    for bug in schedule.T:
        starts = np.flatnonzero(np.diff(np.concatenate([[False], bug])) & bug)
        lengths = [int(np.argmin(np.concatenate([bug[at:], [False]]))) for at in starts]
        assert set(lengths) <= {1, 2, 3, 4, 5}
        assert len(lengths) > 10  # each comes back


def test_bugs_of_a_component_come_together_and_the_hot_ones_drift():
    components = np.array([bug.component for bug in BUGS])
    schedule = np.concatenate([draw_builds(seed, 1500) for seed in range(4)]).astype(float)
    together = np.corrcoef(schedule.T)
    same = components[:, None] == components[None]
    off = ~np.eye(len(BUGS), dtype=bool)
    assert together[same & off].mean() > together[~same].mean() + 0.05
    by_component = np.stack([schedule[:, components == name].sum(1) for name in np.unique(components)], 1)
    blocks = by_component.reshape(-1, 25, by_component.shape[1]).mean(1)
    neighbours = np.mean([np.corrcoef(b[:-1], b[1:])[0, 1] for b in blocks.T])
    assert 0.05 < neighbours < 0.9  # heat outlasts a bug, and does not stay for ever


def test_the_ids_of_a_build():
    row = np.zeros(len(BUGS), bool)
    row[[0, 6]] = True
    assert bug_ids(row) == ("B01", "B07")
