import pytest


@pytest.fixture
def record_figure(record_property):
    """Record a simulated number for docs/evidence.md: printed with `-s`, and written to a JUnit report."""

    def record(name: str, value: float) -> None:
        record_property(name, float(value))  # xdist cannot send numpy numbers
        print(f"\n| {name} | {value:.4g} |", end="")

    return record
