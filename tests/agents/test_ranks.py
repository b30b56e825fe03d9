"""Agents that two processes train together, against one process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.health_metrics import NAMES
from agents.ranks import OwnMinibatches
from tests.agents.two_ranks import CASES, results

ROOT = Path(__file__).resolve().parents[2]
OF_OWN_ROWS = {f"metric {name}" for name in NAMES} - {"metric grad_norm"}  # on rank 0's share alone


@given(seed=st.integers(0, 2**32 - 1), ranks=st.integers(1, 4), size=st.integers(4, 60), batch=st.integers(2, 9))
def test_the_minibatches_of_the_ranks_are_those_of_one_process(seed, ranks, size, batch):
    rng = np.random.default_rng(seed)
    starts = np.arange(0, size, batch)
    order, owner = rng.permutation(size), rng.integers(0, ranks, size)
    parts = []
    for rank in range(ranks):
        rows = np.flatnonzero(owner == rank)
        own = OwnMinibatches.of(order, starts, rows)
        np.testing.assert_array_equal(order[own.places], rows[own.rows])
        parts.append(np.split(rows[own.rows], own.starts[1:]))
    for whole, *shares in zip(np.split(order, starts[1:]), *parts, strict=True):
        assert sorted(whole) == sorted(np.concatenate(shares))


@pytest.fixture(scope="module")
def of_each_rank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.agents.two_ranks", str(folder)]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else None
    ranks = [subprocess.Popen([*command, str(rank)], cwd=ROOT, env=environment) for rank in range(2)]
    try:
        assert [process.wait(1800) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    return [dict(np.load(folder / f"rank_{rank}.npz")) for rank in range(2)]


@pytest.fixture(scope="module")
def of_one_process():
    return results()


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_train_as_one_process(case, of_each_rank, of_one_process):
    names = [name for name in of_one_process if name.startswith(f"{case}/")]
    for name in names:
        if name.partition("/")[2] not in OF_OWN_ROWS | {"torch_rng"} and "/health" not in name:
            np.testing.assert_allclose(of_each_rank[0][name], of_one_process[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_they_took_as_many_steps_as_the_bar_asks_for(of_one_process):
    assert of_one_process["ppo/gradient_steps"] >= 50


@pytest.mark.parametrize("case", CASES)
def test_every_rank_holds_the_same(case, of_each_rank):
    for name in of_each_rank[0]:
        if name.startswith(f"{case}/") and name.partition("/")[2] not in OF_OWN_ROWS and "/health" not in name:
            np.testing.assert_array_equal(of_each_rank[0][name], of_each_rank[1][name], err_msg=name)
