"""The config of a Gymnasium environment: its id, how its copies are stepped, and what counts as success."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from rl_eval.domains.base import EnvConfig

DEFAULT_EPISODE_STEPS = 1_000  # of an environment without a limit of its own, as most of Gymnasium's long ones have

Wrapper = str | dict[str, dict[str, Any]]


class Config(EnvConfig):
    """The defaults are those of `conf/env/gym.yaml`, key by key."""

    name: Literal["gym"] = "gym"
    id: str = Field(
        min_length=1,
        description="Gymnasium id; `module:Env-v0` imports the module first; or `pettingzoo:<package>.<environment>`, "
        "`pettingzoo:<module>:<function>` for a parallel environment",
    )
    kwargs: dict[str, Any] = Field(default_factory=dict, description="passed to gymnasium.make")
    wrappers: tuple[Wrapper, ...] = Field(
        (),
        description=(
            "applied in this order: names of `gymnasium.wrappers`, or `{Name: {argument: value}}`; `module:Class` "
            "imports the module"
        ),
    )
    max_episode_steps: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description=(
            "an episode is cut off after this many steps; null: the environment's own limit, or "
            f"{DEFAULT_EPISODE_STEPS:,} if it has none"
        ),
    )
    success_return: float | None = Field(None, description="an episode with at least this return is a success")
    outcome: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="keys of the environment's `info` that metrics and reward terms can read as facts of a step"
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description="processes that step the copies, including this one; does not change results"
    )
    backend: Literal["auto", "gymnasium", "envpool"] = Field(
        "gymnasium", description="what steps the copies in training; auto: EnvPool if possible"
    )

    @field_validator("wrappers")
    @classmethod
    def _one_class_each(cls, wrappers: tuple[Wrapper, ...]) -> tuple[Wrapper, ...]:
        if not all(wrapper if isinstance(wrapper, str) else len(wrapper) == 1 for wrapper in wrappers):
            raise ValueError("each wrapper is a name, or {Name: {argument: value}} with one name")
        return wrappers

    def named_wrappers(self) -> list[tuple[str, dict[str, Any]]]:
        """Name and arguments of each wrapper."""
        return [(w, {}) if isinstance(w, str) else next(iter(w.items())) for w in self.wrappers]

    @field_validator("outcome")
    @classmethod
    def _new_names(cls, outcome: tuple[str, ...]) -> tuple[str, ...]:
        if "native_reward" in outcome or len(set(outcome)) < len(outcome):
            raise ValueError("name each key of `info` once, and not native_reward, which is always there")
        return outcome
