"""Fixtures of roll-outs."""

import pytest

from rl_eval.production.audit import AuditLog
from rl_eval.production.registry import FolderRegistry, Lineage
from tests.production.canary.world import World


@pytest.fixture
def record_figure(record_property):
    """Record a simulated number for docs/evidence.md: printed with `-s`, and written to a JUnit report."""

    def record(name: str, value: float) -> None:
        record_property(name, float(value))  # xdist cannot send numpy numbers
        print(f"\n| {name} | {value:.4g} |", end="")

    return record


@pytest.fixture
def world(tmp_path):
    registry = FolderRegistry(tmp_path / "registry")
    for version in range(1, 4):
        (tmp_path / "policy").write_text(f"policy {version}")
        registry.register(tmp_path / "policy", Lineage("data"))
    registry.move({"champion": 1, "challenger": 2})
    return World(registry, AuditLog(tmp_path / "audit.jsonl"))
