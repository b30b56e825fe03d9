"""`conf/` and the checked configs: equal defaults, every composition runs, errors in one sentence."""

import dataclasses
from pathlib import Path

import gymnasium as gym
import hydra
import numpy as np
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from agents import AGENTS
from rl_eval import config, domains, seeding
from rl_eval.dry_run import dry_run
from rl_eval.errors import InputError
from rl_eval.rewards import RewardedVector, RewardFunction
from rl_eval.tracking import settings_model

CONF = Path(__file__).resolve().parents[1] / "conf"
SMALL = {
    "threat": ["env.train_flows=1000", "env.validation_flows=200", "env.test_flows=200"],
    "gym": ["env.id=CartPole-v1"],
    "webtest": ["env.applications=2"],
}


def options(group):
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def rewards_of(env):
    """`<env>` and `<env>_<variant>`; `native` is what every Gymnasium environment's own reward is."""
    rewards = [option for option in options("reward") if option == env or option.startswith(f"{env}_")]
    return rewards if env in ("threat", "qase", "prompt", "webtest") else [*rewards, "native"]


def written(file):
    """The keys of one file of conf/ as plain values."""
    return yaml.safe_load((CONF / file).read_text())


def compose(*overrides):
    """What Hydra makes of overrides, as plain values."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(hydra.compose("config", overrides=list(overrides)), resolve=True)


@pytest.fixture(scope="module")
def defaults():
    """`python train.py` without a word more."""
    return compose()


def changed(values, key, value):
    """A copy of nested values with one dotted key set."""
    head, _, rest = key.partition(".")
    return {**values, head: changed(values[head], rest, value) if rest else value}


# -- the defaults stand twice, and are the same ------------------------------------------------------------------------


@pytest.mark.parametrize("name", options("agent"))
def test_agent_defaults_are_those_of_the_dataclass(name):
    defaults = dataclasses.asdict(AGENTS[name].config())
    sections = {key: defaults.pop(key) for key in config.AGENT_SECTIONS if key in defaults}
    assert written(f"agent/{name}.yaml") == defaults
    assert all(compose()[key] == section == config.AGENT_SECTIONS[key] for key, section in sections.items())


@pytest.mark.parametrize("name", options("env"))
def test_env_defaults_are_those_of_the_model(name):
    values = written(f"env/{name}.yaml")
    missing = {key: value for key, value in values.items() if value == "???"}
    fields = domains.domain(name).config_model.model_fields
    assert set(missing) == {key for key, field in fields.items() if field.is_required()}
    assert values == {**domains.domain(name).config_model(**missing).model_dump(mode="json"), **missing}


@pytest.mark.parametrize("name", options("tracker"))
def test_tracker_defaults_are_those_of_the_model(name):
    checked = settings_model(name).model_validate({"name": name})
    assert written(f"tracker/{name}.yaml") == checked.model_dump(mode="json")


def test_hardware_and_top_level_defaults_are_those_of_the_models():
    assert {**written("config.yaml")["hardware"], **written("hardware/cpu.yaml")} == {
        **config.Hardware().model_dump(),
        "devices": [],
    }
    untuned = compose("~tuned")
    needed = {"agent": {"name": "ppo"}, "env": {"name": "threat"}, "tracker": {"name": "none"}}
    no_default = {"total_steps": untuned["total_steps"], "reward": untuned["reward"]}
    assert config.load({**needed, **no_default}) == config.load(untuned)


def test_every_name_has_its_file_and_every_environment_its_reward():
    assert set(options("agent")) == set(AGENTS)
    assert set(options("env")) == set(domains.DOMAINS)
    assert set(options("env")) <= set(options("reward"))
    assert "native" in options("reward")


def test_tunings_are_for_pairs_that_exist():
    pairs = {f"{env}_{agent}" for env in options("env") for agent in options("agent")}
    assert {name.removesuffix("_online") for name in options("tuned")} <= pairs | {"none"}


# -- every composition is a config that runs ---------------------------------------------------------------------------

GRID = [(env, agent, reward) for env in options("env") for agent in options("agent") for reward in rewards_of(env)]


def assert_round_trip(values):
    """`config.yaml` read back is the config that was written."""
    checked = config.load(values)
    plain = yaml.safe_load(yaml.safe_dump(checked.to_dict(), sort_keys=False))
    again = config.load(plain)
    assert again == checked
    assert again.to_dict() == checked.to_dict() == plain
    return checked


@pytest.mark.parametrize(("env", "agent", "reward"), GRID, ids=["-".join(names) for names in GRID])
def test_every_composed_config_is_instantiated_and_takes_a_step(env, agent, reward):
    checked = assert_round_trip(compose(f"env={env}", f"agent={agent}", f"reward={reward}", *SMALL.get(env, [])))
    assert (checked.env.name, checked.agent.name) == (env, agent)
    dry_run(checked)
    generators = {name: seeding.generator(0, name) for name in ("init", "policy", "minibatch")}
    vector = domains.make(checked.env, n_envs=2, part="train")
    small = dataclasses.replace(checked.agent, n_envs=2, **({"batch_size": 2} if agent == "ppo" else {}))
    built = AGENTS[agent].build(
        small,
        RewardedVector(vector, RewardFunction.from_config(checked.reward["terms"])),
        generators=generators,
        total_steps=checked.total_steps,
        device="cpu",
    )
    built.start([1, 2])
    arrays, meta = built.policy_checkpoint()
    assert meta["obs_shape"] == list(vector.single_observation_space.shape)
    assert all(np.isfinite(array).all() for array in arrays.values())


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_is_checked(experiment):
    checked = assert_round_trip(compose(f"experiment={experiment}"))
    dry_run(checked.model_copy(update={"env": checked.env.model_copy(update=small(checked.env.name))}))


def small(env):
    return {key.removeprefix("env."): int(n) for key, n in (text.split("=") for text in SMALL.get(env, []))}


@pytest.mark.parametrize("group", ["hardware", "tracker"])
def test_every_option_of_the_other_groups_is_checked(group):
    for option in options(group):
        checked = assert_round_trip(compose("env=cartpole", f"{group}={option}"))
        assert checked.tracker.name == (option if group == "tracker" else "none")


def test_lr_at_the_top_is_the_agents(defaults):
    assert config.load(changed(defaults, "lr", 1e-3)).agent.lr == 1e-3
    assert config.load(changed(defaults, "lr", None)).agent.lr == defaults["agent"]["lr"]


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**63 - 1),
    lr=st.floats(0, exclude_min=True, allow_infinity=False) | st.none(),
    total_steps=st.integers(1, 10**12),
    name=st.none() | st.text(st.characters(codec="utf-8", categories=["L", "N", "P"])),
    widths=st.lists(st.integers(1, 2048), max_size=4),
    gae_lambda=st.floats(0, 1),
)
def test_allowed_values_survive_config_yaml(defaults, seed, lr, total_steps, name, widths, gae_lambda):
    values = {**defaults, "seed": seed, "lr": lr, "total_steps": total_steps, "name": name}
    checked = assert_round_trip(
        changed(changed(values, "agent.network.widths", widths), "agent.gae_lambda", gae_lambda)
    )
    assert (checked.agent.gae_lambda, checked.agent.network.widths) == (gae_lambda, widths)


# -- what is not allowed is one sentence -------------------------------------------------------------------------------

REFUSED = {
    "seed": (-1, r"^seed=-1 is not valid: input should be greater than or equal to 0$"),
    "total_steps": (0, r"^total_steps=0 is not valid: .* greater than or equal to 1$"),
    "lr": (float("nan"), r"^lr=nan is not valid: "),
    "log_every": ("often", r"^log_every='often' is not valid: .*integer"),
    "sead": (1, r"^sead is not a key of the config: did you mean 'seed'\? it has seed, lr, "),
    "validation.evry": (
        1,
        r"^validation\.evry is not a key of validation: did you mean 'every'\? it has every, episodes, ",
    ),
    "validation.episodes": (0, r"^validation\.episodes=0 is not valid: "),
    "agent": ("ppo", r"^agent='ppo' is not a section "),
    "agent.name": ("pp", r"^agent='pp' is not an agent: did you mean 'ppo'\? choose ppo or a2c or dqn$"),
    "agent.clip_rnge": (0.1, r"^agent\.clip_rnge is not a key of agent: did you mean 'clip_range'\? it has "),
    "agent.gamma": (1.5, r"^agent\.gamma=1\.5 is not valid: input should be less than or equal to 1$"),
    "agent.clip_range": (float("inf"), r"^agent\.clip_range=inf is not valid: input should be a finite number$"),
    "agent.batch_size": (10**7, r"^agent.*batch_size=10000000 is larger than"),
    "agent.network.widths": ([0], r"^agent\.network\.widths\.0=0 is not valid: "),
    "agent.network.widhts": ([8], r"^agent\.network\.widhts is not a key of agent\.network: did you mean 'widths'\?"),
    "agent.network.activation": ("sin", r"^agent\.network\.activation='sin' is not valid: .*'tanh'"),
    "env": (None, r"^env=None is not a section "),
    "env.name": ("thread", r"^env='thread' is not an environment: did you mean 'threat'\? the environments are "),
    "env.shfit": (3, r"^env\.shfit is not a key of env: did you mean 'shift'\? it has "),
    "env.costs": ([[0, 1], [5, 0]], r"^env\.costs=\[\[0, 1\], \[5, 0\]\] is not valid: give two rows of four prices, "),
    "hardware.threads": (10**12, r"^hardware\.threads=1000000000000 is not valid: .* less than or equal to 1024$"),
    "hardware.device": ("tpu", r"^hardware\.device='tpu' is not valid: give cpu, cuda, cuda:N .*, or auto$"),
    "hardware.devices": ([0, 0], r"^hardware\.devices=\[0, 0\] is not valid: a CUDA device is named twice"),
    "hardware.budget": ("5 apples", r"^hardware\.budget='5 apples' is not valid: give an amount of money"),
    "tracker.name": (
        "wand",
        r"^tracker='wand' is not a tracker: did you mean 'wandb'\? choose mlflow, none, tensorboard, ",
    ),
    "tracker.project": ("p", r"^tracker\.project is not a key of tracker: it has name$"),
    "reward": ({}, r"^reward has the keys none: it takes `terms`, and `range`$"),
    "reward.terms": (None, r"^reward\.terms=None is not a section of named terms"),
    "reward.weight": (2, r"^reward has the keys terms, weight: it takes `terms`, and `range`$"),
    "reward.terms.matrix": (3, r"^reward\.terms\.matrix=3 is not a section "),
}


@pytest.mark.parametrize(("key", "value", "message"), [(k, *v) for k, v in REFUSED.items()], ids=REFUSED)
def test_a_wrong_value_is_named_with_what_is_allowed(defaults, key, value, message):
    with pytest.raises(InputError, match=message) as error:
        config.load(changed(defaults, key, value))
    assert "\n" not in str(error.value)


def test_a_dry_run_finds_what_only_the_environment_can_tell(defaults):
    cartpole = compose("env=cartpole")
    with pytest.raises(InputError, match=r"reward\.terms\.matrix reads 'label', which .* it has native_reward"):
        dry_run(config.load({**cartpole, "reward": defaults["reward"]}))
    with pytest.raises(
        InputError, match=r"validation\.metric='f1' cannot be computed on cartpole: choose .*mean_return"
    ):
        dry_run(config.load(changed(cartpole, "validation.metric", "f1")))


def test_a_missing_gpu_is_reported_and_auto_uses_the_cpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert config.torch_device(config.Hardware(device="auto")) == "cpu"
    with pytest.raises(InputError, match="torch sees no CUDA device: use hardware=cpu or hardware=auto"):
        config.torch_device(config.Hardware(device="cuda"))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert config.torch_device(config.Hardware(device="cuda:1")) == "cuda:1"
    with pytest.raises(InputError, match="torch sees 2 CUDA devices, numbered from 0"):
        config.torch_device(config.Hardware(device="cuda:2"))
    assert config.torch_device(config.Hardware(device="auto")) == "cuda"
    assert config.torch_device(config.Hardware(device="cpu")) == "cpu"


def test_gymnasium_kwargs_pass_through():
    checked = config.load(compose("env=lunarlander", "+env.kwargs.continuous=true"))
    vector = domains.make(checked.env, n_envs=1, part="train")
    assert isinstance(vector.single_action_space, gym.spaces.Box)
