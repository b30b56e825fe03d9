"""Records of the cycles that run."""

import pytest

from rl_eval.domains.qase.live import session


@pytest.fixture
def recorded_cycles(monkeypatch):
    """The orders, the bugs and the outcomes of the cycles that run from now on, in the order of their running."""
    recorded, real = [], session.run_cycle

    def spied(runner, shop, cases, order, budget_ms=None, bugs=None):
        recorded.append((list(order), bugs, real(runner, shop, cases, order, budget_ms, bugs)))
        return recorded[-1][2]

    monkeypatch.setattr(session, "run_cycle", spied)
    return recorded
