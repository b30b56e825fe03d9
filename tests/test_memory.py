"""What would not fit into memory is refused before it is allocated; how much there is, containers considered."""

import errno

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval import memory
from rl_eval.cli import main
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.hydra_compose import compose
from tests.training.learn import ROOT

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path):
    """Write the files of Linux that say how much memory there is."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return memory.available(tmp_path)

    return write


MEMINFO = "MemTotal:  9000000 kB\nMemFree:  10 kB\nMemAvailable:  8000 kB\n"


def test_the_machine_has_what_it_calls_available(machine):
    assert machine(proc__meminfo=MEMINFO) == 8_000 * 1024


def test_a_container_has_what_its_limit_leaves_without_the_files_it_caches(machine):
    group = "sys__fs__cgroup__jobs__one__memory"
    files = {f"{group}.max": "5000\n", f"{group}.current": "4000\n", f"{group}.stat": "anon 1\ninactive_file 300\n"}
    assert machine(proc__meminfo=MEMINFO, proc__self__cgroup="0::/jobs/one\n", **files) == 1_300


def test_the_narrowest_group_above_counts(machine):
    above, own = "sys__fs__cgroup__jobs__memory", "sys__fs__cgroup__jobs__one__memory"
    files = {f"{above}.max": "900\n", f"{above}.current": "1000\n", f"{own}.max": "max\n", f"{own}.current": "4000\n"}
    assert machine(proc__meminfo=MEMINFO, proc__self__cgroup="0::/jobs/one\n", **files) == 0


def test_version_one_of_control_groups(machine):
    group = "sys__fs__cgroup__memory__job__memory"
    files = {f"{group}.limit_in_bytes": "7000\n", f"{group}.usage_in_bytes": "2000\n"}
    assert machine(proc__self__cgroup="4:memory:/job\n1:cpu:/\n", **files) == 5_000


def test_where_nothing_is_known_nothing_is_refused(machine, monkeypatch):
    assert machine() is None
    monkeypatch.setattr(memory, "available", lambda: None)
    memory.require({"a=1": 1 << 60})


def test_this_machine_has_some():
    assert memory.available() is None or memory.available() > 1 << 20


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["agent=dqn", "agent.buffer_size=2000000000"], "agent.buffer_size=2000000000"),
        (["agent.network.widths=[200000,200000]"], "agent.network.widths=[200000,200000]"),
        (["agent=dqn", "agent.network.widths=[200000,200000]"], "agent.network.widths=[200000,200000]"),
        (["agent.n_envs=100000000"], "agent.n_envs=100000000 x agent.n_steps"),
        (["agent=a2c", "agent.n_steps=1000000000"], "agent.n_steps=1000000000"),
        (["agent=dqn", "agent.n_envs=100000000", "agent.buffer_size=1000000000"], "agent.n_envs=100000000"),
    ],
)
def test_a_config_that_does_not_fit_names_the_key_to_lower(overrides, key, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 16 * GIB)
    config = configs.load(compose(ROOT / "conf", ["env=cartpole", "tuned=none", *overrides]))
    with pytest.raises(InputError) as raised:
        dry_run(config)
    sentence = str(raised.value)
    assert key in sentence
    assert "16.0 GiB are available" in sentence
    assert "\n" not in sentence


def test_the_estimate_is_a_lower_bound_of_what_training_allocates():
    """Of a replay buffer, and of a network with its optimiser."""
    import torch

    from agents.config import DQNConfig, QNetworkConfig
    from agents.memory_use import dqn_bytes
    from agents.q_learning import QLearning
    from agents.replay import ReplayBuffer

    config = DQNConfig(buffer_size=10_000, prioritized=True, network=QNetworkConfig(widths=[300, 200]))
    parts = dqn_bytes(config, 7, 3)
    buffer = ReplayBuffer(10_000, 1, (7,), gamma=0.9, priority_alpha=0.5)
    ring = sum(array.nbytes for array in [*buffer._ring.values(), buffer._observations._obs])
    assert ring <= parts["agent.buffer_size"] <= 2 * ring
    learner = QLearning(config, 7, 3, np.random.default_rng(0), torch.device("cpu"))
    parameters = sum(p.numel() for p in learner.online.parameters())
    matrix = 300 * 200 * 8
    assert parts["agent.network.widths"] == 4 * 5 * parameters + matrix


def test_failed_allocations_are_recognised():
    import torch

    with pytest.raises(MemoryError) as of_numpy:
        np.empty(1 << 60, np.uint8)
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(1 << 60, dtype=torch.uint8)
    for raised in (of_numpy, of_torch):
        assert "is not sufficient" in memory.out_of_memory(raised.value)
    assert memory.out_of_memory(RuntimeError("shapes differ")) is None
    assert memory.out_of_memory(ValueError("out of memory")) is None


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOSPC, "No space left on device", "report.html")])
def test_a_command_without_memory_or_room_on_the_disk_says_so(error, monkeypatch, capsys):
    def fail(*args, **keywords):
        raise error

    monkeypatch.setattr("rl_eval.report.write_report", fail)
    assert main(["report", "x"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
