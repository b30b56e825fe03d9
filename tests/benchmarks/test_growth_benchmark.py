import pytest

from benchmarks import growth


def test_exponents_by_hand():
    assert growth.exponent([10, 100], [2.0, 20.0]) == pytest.approx(1)
    assert growth.exponent([10, 1000], [1.0, 10_000.0]) == pytest.approx(2)


@pytest.mark.verify
@pytest.mark.parametrize("name", growth.WORK)
def test_memory_is_never_worse_than_linear(name):
    work, sizes = growth.WORK[name]
    smaller = sizes[:3]
    peaks = [growth.measured(work, size, 1)[1] for size in smaller]
    assert growth.exponent(smaller, peaks) < growth.ALLOWED
