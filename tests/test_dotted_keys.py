"""Dotted keys, and the keys that differ between configs."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rl_eval.dotted_keys import differing_keys, flatten


def test_flatten_uses_the_keys_that_hydra_takes():
    config = {"lr": None, "agent": {"gamma": 0.99, "network": {"widths": [64, 64]}}, "env": {"kwargs": {}}}
    assert flatten(config) == {"lr": None, "agent.gamma": 0.99, "agent.network.widths": [64, 64]}
    assert flatten({"a": {"b": 1}}, "/") == {"a/b": 1}


def test_keys_that_were_varied():
    base = {"name": "a", "lr": 1, "seed": 1, "hydra": {"run": 1}, "env": {"name": "t", "path": "p"}, "resume": None}
    other = {"name": "b", "lr": 1.0, "seed": 2, "hydra": {"run": 2}, "env": {"name": "t", "path": "q"}, "extra": True}
    assert differing_keys([base, other]) == ["seed", "env.path", "extra"]
    assert differing_keys([base, base]) == []
    assert differing_keys([base]) == []
    assert differing_keys([]) == []


def test_a_key_that_repeats_another_is_left_out():
    configs = [{"agent": {"lr": lr, "gamma": lr}, "lr": lr} for lr in (0.1, 0.2)]
    assert differing_keys(configs) == ["agent.gamma", "lr"]


def test_keys_that_depend_on_the_agent_are_left_out():
    ppo, a2c = {"name": "ppo", "n_steps": 256, "clip": 0.2}, {"name": "a2c", "n_steps": 5}
    configs = [{"seed": seed, "agent": agent} for agent in (ppo, a2c) for seed in (1, 2)]
    assert differing_keys(configs) == ["seed", "agent.name"]
    configs.append({"seed": 1, "agent": {**ppo, "n_steps": 512}})
    assert differing_keys(configs) == ["seed", "agent.name", "agent.n_steps"]


def test_true_is_not_one_and_nan_is_itself():
    assert differing_keys([{"a": True}, {"a": 1}]) == ["a"]
    assert differing_keys([{"a": math.nan}, {"a": float("nan")}]) == []
    assert differing_keys([{"a": [1, 2]}, {"a": [1, 3]}]) == ["a"]
    assert differing_keys([{"a": None}, {}]) == ["a"]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers())
CONFIGS = st.dictionaries(st.sampled_from("abcd"), VALUES | st.dictionaries(st.sampled_from("xyz"), VALUES))


@given(st.lists(CONFIGS, max_size=4), st.randoms())
def test_the_order_of_runs_does_not_change_the_keys(configs, random):
    mixed = list(configs)
    random.shuffle(mixed)
    assert set(differing_keys(mixed)) == set(differing_keys(configs))
