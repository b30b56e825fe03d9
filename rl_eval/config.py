"""The config of a run, checked before anything runs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from rl_eval import agent_registry, domains, plugins, redis_credentials
from rl_eval.cost import Budget
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra, require_extra
from rl_eval.formatting import quantity
from rl_eval.launchers import LauncherSettings, launcher_plugin
from rl_eval.rewards import RewardFunction, as_range
from rl_eval.tracking import settings_model
from rl_eval.validation_errors import config_sentence

# Top-level sections that are fields of an agent's config, with the values that other agents leave as they are.
AGENT_SECTIONS: dict[str, dict[str, Any]] = {
    "replay": {"storage": "memory", "folder": None},
    "agents": {"count": 1, "share": "replay", "credit": "difference", "processes": 1},
}


DEVICE = r"cpu|auto|cuda(:\d{1,4})?"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Hardware(_Section):
    """Where a run is trained, and what that may cost."""

    device: str = Field("cpu", description="of the network: cpu | cuda | cuda:N | auto")
    threads: int = Field(1, ge=1, le=1024, description="torch threads; small networks are fastest on one")
    together: bool = Field(False, description="jobs of a sweep that differ in their seeds are trained in step")
    ranks: int = Field(1, ge=1, le=64, description="processes that train one agent together, on one machine")
    devices: tuple[str, ...] = Field((), max_length=1024, description="each job of a sweep gets one of its own")
    machine: str | None = Field(None, description="its row in the price list, or owned | on-demand | spot")
    prices: str | None = Field(None, description="your price list")
    budget: str | None = Field(None, description="money or machine-hours, at which training stops: '5 USD', '2 h'")

    @field_validator("device")
    @classmethod
    def _is_device(cls, value: str) -> str:
        if not re.fullmatch(DEVICE, value):
            raise ValueError("give cpu, cuda, cuda:N with the number of a CUDA device, or auto")
        return value

    @field_validator("devices", mode="before")
    @classmethod
    def _are_devices(cls, values: object) -> object:
        if not isinstance(values, list | tuple):
            raise ValueError("give a list, such as [0,1,2]")
        names = tuple(f"cuda:{value}" if type(value) is int else str(value) for value in values)
        for name in names:
            if name == "auto" or not re.fullmatch(DEVICE, name):
                raise ValueError("give the numbers of CUDA devices, such as [0,1,2], or cpu, once for each job at once")
        if any(names.count(name) > 1 for name in names if name != "cpu"):
            raise ValueError("a CUDA device is named twice, and runs one job at a time: name it once")
        return names

    @field_validator("budget")
    @classmethod
    def _is_budget(cls, value: str | None) -> str | None:
        if value is not None:
            Budget.parse(value)
        return value


class Validation(_Section):
    """When the policy is scored on the validation part, and what counts as best."""

    every: int = Field(20_000, ge=1, description="env steps between two scores")
    episodes: int = Field(20, ge=1)
    metric: str = Field("", description="null: what the environment is judged by")

    @field_validator("metric", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    stop_at: float | None = Field(None, description="training ends once the metric is at least as good as this")
    trials: int = Field(0, ge=0, le=20, description="trainings on earlier data that decide if the first policy is kept")


class RunConfig(_Section):
    """Everything that decides a run."""

    seed: int = Field(42, ge=0, lt=2**63)
    lr: float | None = Field(None, gt=0, description="the agent's learning rate; null: the agent's default")
    total_steps: int = Field(ge=1, description="env steps")
    name: str | None = None
    resume: str | None = None
    init: str | None = Field(None, description="a run directory, or one of its snapshots, to start from")
    judge: Literal["test", "validation", "off"] | None = Field(
        None, description="what the suites are played on; null: test, in a sweep validation"
    )
    plugins: tuple[str, ...] = Field((), description="modules to import first; they register what they add")
    log_every: int = Field(1_000, ge=1, description="env steps between rows of metrics.csv, or one iteration")
    checkpoint_every: int = Field(50_000, ge=1, description="env steps between snapshots")
    keep_snapshots: int = Field(5, ge=1, description="the latest that are kept, in addition to the best")
    resume_every: int | None = Field(None, ge=1, description="env steps between resume points; null: as often as exact")
    validation: Validation = Validation()
    agent: Any = None  # the config of a registered agent
    env: Any = None  # the Config of the environment's module
    reward: dict[str, Any] = Field(default_factory=dict)
    hardware: Hardware = Hardware()
    tracker: Any = None  # the settings model of the tracker
    launcher: Any = None  # the settings model of the launcher

    @field_validator("judge", mode="before")
    @classmethod
    def _off_of_yaml(cls, value: object) -> object:
        """YAML 1.1 reads a bare `off` as false."""
        return "off" if value is False else value

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in `config.yaml`."""
        agent = TypeAdapter(type(self.agent)).dump_python(self.agent, mode="json")
        sections = {name: agent.pop(name) for name in AGENT_SECTIONS if name in agent}
        return {
            **self.model_dump(mode="json", exclude={"agent", "env", "tracker", "launcher"}),
            "tracker": self.tracker.model_dump(mode="json"),
            "launcher": self.launcher.model_dump(mode="json"),
            "env": self.env.model_dump(mode="json"),
            "agent": agent,
            **sections,
        }


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Take a section out of the values."""
    section = values.pop(name, None)
    if not isinstance(section, Mapping):
        raise InputError(f"{name}={section!r} is not a section with keys of its own, `name` among them")
    return dict(section)


def _sections_of_agent(values: dict[str, Any], agent: Any, model: Any) -> dict[str, Any]:
    """Take `AGENT_SECTIONS` out of the values, as the fields of these names in the config of an agent.

    Raises:
        InputError: one is not valid, or asks for something that the agent does not have.
    """
    models: dict[str, Any] = {field.name: field.default_factory for field in fields(model)}
    return {
        name: _section_of_agent(name, values.pop(name, {}), models[name])
        for name, default in AGENT_SECTIONS.items()
        if name in models or not _is_default(name, values.pop(name, {}), default, agent)
    }


def _is_default(name: str, section: Any, default: Mapping[str, Any], agent: Any) -> bool:
    """Whether a section asks for nothing.

    Raises:
        InputError: it does.
    """
    for key, value in dict(section).items():
        if value != default.get(key):
            raise InputError(f"{name}.{key}={value} is not for agent={agent}: leave it out, or use agent=dqn")
    return True


def _section_of_agent(name: str, section: Any, model: Any) -> Any:
    if not isinstance(section, Mapping):
        raise InputError(f"{name}={section!r} is not a section: give {name}.<key>=<value>")
    section = dict(section)
    if isinstance(section.get("storage"), str):
        section["storage"] = redis_credentials.take_out(section["storage"])
    try:
        checked = TypeAdapter(model).validate_python(section)
    except ValidationError as error:
        raise InputError(config_sentence(error, section, name, [field.name for field in fields(model)])) from error
    if name == "replay" and str(checked.storage).startswith("redis"):
        require_extra("redis", "replay.storage=redis://…", "redis")
    return checked


def _launcher(section: Mapping[str, Any]) -> LauncherSettings:
    model = launcher_plugin(section.get("name")).settings
    try:
        return model.model_validate(section)
    except ValidationError as error:
        raise InputError(config_sentence(error, section, "launcher", model.model_fields)) from error


def load(values: Mapping[str, Any]) -> RunConfig:
    """The checked config of a run.

    Args:
        values: plain nested values, as Hydra composed them or `config.yaml` holds them.

    Raises:
        InputError: a key or value that is not allowed, which is named; or a plugin that cannot be imported.
    """
    values = dict(values)
    names = values.get("plugins") or ()
    if not isinstance(names, list | tuple):
        raise InputError(f"plugins={names!r} is not a list of modules: give plugins=[my_module]")
    plugins.import_plugins(names, Path.cwd())
    values.setdefault("launcher", {"name": "none"})  # a run from before there were any has none
    agent, env, tracker, launcher = (_section(values, name) for name in ("agent", "env", "tracker", "launcher"))
    agent_model = agent_registry.agent(agent.get("name")).config
    agent |= _sections_of_agent(values, agent.get("name"), agent_model)
    try:
        config = RunConfig.model_validate({**values})
    except ValidationError as error:
        raise InputError(config_sentence(error, values, allowed=RunConfig.model_fields)) from error
    if config.lr is not None:
        agent["lr"] = config.lr
    try:
        agent_config = TypeAdapter(agent_model).validate_python(agent)
    except ValidationError as error:
        raise InputError(config_sentence(error, agent, "agent", [f.name for f in fields(agent_model)])) from error
    _check_ranks(agent_config, config.hardware.ranks)
    if config.hardware.together and not getattr(agent_config, "trains_together", False):
        raise InputError(f"not supported: hardware=seeds with agent={agent_config.name}: use agent=ppo or agent=a2c")
    domain = domains.domain(str(env.get("name")))
    try:
        env_config = domain.config_model.model_validate(env)
    except ValidationError as error:
        raise InputError(config_sentence(error, env, "env", domain.config_model.model_fields)) from error
    tracker_model = settings_model(tracker.get("name"))
    try:
        tracker_settings = tracker_model.model_validate(tracker)
    except ValidationError as error:
        raise InputError(config_sentence(error, tracker, "tracker", tracker_model.model_fields)) from error
    launcher_settings = _launcher(launcher)
    if "terms" not in config.reward or not set(config.reward) <= {"terms", "range"}:
        raise InputError(f"reward has the keys {', '.join(config.reward) or 'none'}: it takes `terms`, and `range`")
    RewardFunction.from_config(config.reward["terms"])
    if "range" in config.reward:
        as_range("reward.range", config.reward["range"])
    metric = config.validation.metric or domain.validation_metric(env_config)
    if not isinstance(metric, str):
        raise InputError(f"env={domain.name} names no metric to validate by: give validation.metric=...")
    validation = config.validation.model_copy(update={"metric": metric})
    sections = {"agent": agent_config, "env": env_config, "validation": validation, "tracker": tracker_settings}
    sections["launcher"] = launcher_settings
    return config.model_copy(update=sections)


def _check_ranks(agent: Any, ranks: int) -> None:
    """Whether so many processes can train an agent together.

    Raises:
        InputError: they cannot.
    """
    if ranks == 1:
        return
    if not hasattr(agent, "check_ranks"):
        raise InputError(f"not supported: hardware.ranks={ranks} with agent={agent.name}: use agent=ppo or agent=a2c")
    try:
        agent.check_ranks(ranks)
    except ValueError as error:
        raise InputError(str(error)) from error


def without_servers(config: RunConfig) -> RunConfig:
    """The config of a run from anywhere, whose agent connects to no server that the run names.

    Where transitions are kept does not change what is learned from them. It learns on its own from then on.
    """
    replay = getattr(config.agent, "replay", None)
    if replay is None or not str(replay.storage).startswith("redis"):
        return config
    one_process = dataclasses.replace(config.agent.agents, processes=1)
    agent = dataclasses.replace(config.agent, replay=dataclasses.replace(replay, storage="memory"), agents=one_process)
    return config.model_copy(update={"agent": agent})


def torch_device(hardware: Hardware) -> str:
    """The torch device that the hardware group asks for.

    Raises:
        InputError: CUDA is asked for and torch sees none.
    """
    if hardware.device == "cpu":
        return "cpu"
    wanted = "cuda" if hardware.device == "auto" else hardware.device
    with imports_of_extra("train", f"hardware.device={hardware.device}"):
        import torch

    count = torch.cuda.device_count()
    if int(wanted.partition(":")[2] or 0) < count:
        return wanted
    if hardware.device == "auto":
        return "cpu"
    there = f"torch sees {quantity(count, 'CUDA device')}, numbered from 0" if count else "torch sees no CUDA device"
    raise InputError(f"hardware.device={hardware.device}, but {there}: use hardware=cpu or hardware=auto")
