"""A clock that is set: small corrections are followed at once, jumps once they have lasted."""

import pytest

from rl_eval.production.clock import BELIEVED_S, SteadyClock


class Times:
    def __init__(self):
        self.wall, self.elapsed = 1e9, 50.0

    def advance(self, seconds):
        self.wall += seconds
        self.elapsed += seconds

    def clock(self):
        return SteadyClock(lambda: self.wall, lambda: self.elapsed)


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0])
def test_a_jump_by_a_day_is_said_once_and_not_followed(jump, caplog):
    times = Times()
    clock = times.clock()
    times.wall += jump
    for _ in range(5):
        times.advance(10.0)
        clock.now()
    assert clock.now() == pytest.approx(1e9 + 50)
    assert caplog.text.count("the clock jumped by") == 1
    times.wall -= jump
    assert clock.now() == pytest.approx(1e9 + 50)


def test_a_jump_that_stays_is_followed_after_an_hour(caplog):
    times = Times()
    clock = times.clock()
    times.wall += 86_400
    assert clock.now() == pytest.approx(1e9)
    times.advance(BELIEVED_S + 1)
    assert clock.now() == pytest.approx(times.wall)
    assert "followed from now on" in caplog.text


def test_small_corrections_are_followed():
    times = Times()
    clock = times.clock()
    for _ in range(100):
        times.advance(60.0)
        times.wall += 30.0
        assert clock.now() == pytest.approx(times.wall)
