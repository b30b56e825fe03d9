"""The benchmark of stepping generated applications."""

from benchmarks import webtest_stepping


def test_steps_are_counted_over_copies(monkeypatch):
    monkeypatch.setattr(webtest_stepping, "STEPS", 4)
    ticks = iter(range(100))
    assert webtest_stepping.stepping(3, clock=lambda: float(next(ticks)))() == 3.0  # a step lasts one tick
