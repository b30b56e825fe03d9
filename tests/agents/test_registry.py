"""The registry of agents: entries are complete, lazy, and open to others."""

import inspect
import subprocess
import sys
from dataclasses import dataclass, fields

import numpy as np
import pytest

import agents
from agents import AGENTS, AgentEntry, register
from agents.base_agent import BaseAgent
from tests.agents.environments import Walk


@pytest.mark.parametrize("name", AGENTS)
def test_every_entry_is_complete(name):
    entry = AGENTS[name]
    config = entry.config(n_envs=4) if name != "ppo" else entry.config(n_envs=4, n_steps=64)
    assert config.name == entry.name == name
    assert {"name", "lr", "n_envs"} <= {field.name for field in fields(config)}
    envs = Walk(4)
    config.check(envs.single_observation_space, envs.single_action_space, None)
    generators = {stream: np.random.default_rng(0) for stream in ("init", "policy", "minibatch")}
    agent = entry.build(config, envs, generators=generators, total_steps=100, device="cpu", folder=None)
    assert isinstance(agent, BaseAgent)
    agent.start([0, 1, 2, 3])
    acting = entry.load_policy(*agent.policy_checkpoint(), seed=1)
    assert "mask" in inspect.signature(acting.act).parameters
    assert acting.act(np.zeros((5, 2), np.float32), greedy=False).shape == (5,)


def test_importing_the_registry_imports_nothing_heavy():
    code = "import sys, agents; print(*agents.AGENTS, *{'torch', 'numpy', 'gymnasium', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ppo", "a2c", "dqn"]


@dataclass(frozen=True)
class Config:
    name: str = "still"


class Still:
    def __init__(self, config, envs, **keywords):
        self.config, self.envs, self.keywords = config, envs, keywords


def load(arrays, meta, seed=0):
    return arrays, meta, seed


@pytest.fixture
def registered(monkeypatch):
    """The registry as it is, whatever a test adds to it."""
    monkeypatch.setattr(agents, "AGENTS", dict(AGENTS))
    return agents


@pytest.mark.parametrize("reference", [True, False])
def test_a_module_adds_an_agent_by_name_or_by_object(registered, reference):
    targets = {"config": Config, "agent": Still, "load_policy": load}
    if reference:
        targets = {key: f"{__name__}:{target.__name__}" for key, target in targets.items()}
    entry = register("still", **targets)
    assert registered.AGENTS["still"] is entry
    assert entry.config.__name__ == "Config"
    built = entry.build(entry.config(), "envs", total_steps=3)
    assert (built.config.name, built.envs, built.keywords) == ("still", "envs", {"total_steps": 3})
    assert entry.load_policy({}, {"a": 1}, seed=2) == ({}, {"a": 1}, 2)
    with pytest.raises(ValueError, match="has no export to ONNX"):
        entry.to_onnx({}, {}, {})


def test_a_name_belongs_to_one_agent(registered):
    entry = register("still", config=Config, agent=Still, load_policy=load)
    assert register("still", config=Config, agent=Still, load_policy=load) == entry
    with pytest.raises(ValueError, match="'still' is registered twice"):
        register("still", config=Config, agent=Still, load_policy=load, to_onnx=load)
    with pytest.raises(ValueError, match="'ppo' is registered twice"):
        register("ppo", config=Config, agent=Still, load_policy=load)
    assert isinstance(registered.AGENTS["ppo"], AgentEntry)
