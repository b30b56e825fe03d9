"""The nearest name: what a person meant, or nothing."""

from pathlib import Path

import pytest

from rl_eval.errors import nearest, nearest_name
from rl_eval.hydra_compose import keys_and_groups, read_overrides

CONF = Path(__file__).resolve().parents[1] / "conf"


@pytest.fixture(scope="module")
def keys():
    return {agent: keys_and_groups(CONF, read_overrides([f"agent={agent}", "env=qase"])) for agent in ("ppo", "dqn")}


@pytest.mark.parametrize(
    ("typed", "of_ppo", "of_dqn"),
    [
        ("learning_rate", "lr", "lr"),
        ("agent.learning_rate", "agent.lr", "agent.lr"),
        ("total_timesteps", "total_steps", "total_steps"),
        ("num_envs", "agent.n_envs", "agent.n_envs"),
        ("agent.n_steps", "agent.n_steps", "agent.n_step"),
        ("agent.n_step", "agent.n_steps", "agent.n_step"),
        ("gae", "agent.gae_lambda", None),
        ("agent.clip_coef", "agent.clip_range", None),
        ("agent.target_update_interval", None, "agent.target_every"),
        ("net_arch", "agent.network.widths", "agent.network.widths"),
        ("eval_freq", "validation.every", "validation.every"),
        ("device", "hardware.device", "hardware.device"),
        ("select.every", "validation.every", "validation.every"),
        ("env.select_share", "env.validation_share", "env.validation_share"),
        ("sead", "seed", "seed"),
        ("agent.gmama", "agent.gamma", "agent.gamma"),
        ("agent.gae_lamda", "agent.gae_lambda", None),
        ("batchsize", "agent.batch_size", "agent.batch_size"),
        ("agent.netwrok.widths", "agent.network.widths", "agent.network.widths"),
        ("wings", None, None),
        ("agent.wings", None, None),
        ("x", None, None),
    ],
)
def test_a_key_is_looked_for_among_those_of_the_agent(typed, of_ppo, of_dqn, keys):
    assert (nearest_name(typed, keys["ppo"]), nearest_name(typed, keys["dqn"])) == (of_ppo, of_dqn)


@pytest.mark.parametrize(
    ("typed", "choices", "meant"),
    [
        ("cuda", ["auto", "cpu", "gpu", "parallel"], "gpu"),
        ("sac", ["a2c", "dqn", "ppo"], None),
        ("poo", ["a2c", "dqn", "ppo"], "ppo"),
        ("lunar", ["cartpole", "gym", "lunarlander"], "lunarlander"),
        ("CartPole", ["CartPole-v0", "CartPole-v1"], "CartPole-v1"),
        ("min", ["metric", "at_least", "at_most"], "at_least"),
        ("max", ["metric", "at_least", "at_most"], "at_most"),
        ("maximum", ["min", "max", "fixed"], "max"),
        ("at_most", ["min", "max", "fixed"], "max"),
        ("", ["a"], None),
        ("a", [], None),
        ("x" * 10_000, ["x" * 9_000], None),
    ],
)
def test_an_option_is_meant_by_synonym_beginning_or_few_errors(typed, choices, meant):
    assert nearest_name(typed, choices) == meant
    assert nearest(typed, choices) == (f"did you mean {meant!r}? " if meant else "")
