"""`ProductionConfig`: one YAML file that the servers, the collector and the control loop share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief
from rl_eval.production.canary_config import AuditConfig, RegistryConfig, RolloutConfig
from rl_eval.production.collection_config import MAX_FEATURES, CollectConfig, PrivacyConfig, QualityConfig, ServeConfig
from rl_eval.production.learning_config import ProofConfig, ReviewConfig, TrainingConfig, TriggerConfig
from rl_eval.production.loop_config import LoopConfig
from rl_eval.production.section import FileName, Section
from rl_eval.untrusted_files import duplicate_key, load_yaml, read_bounded
from rl_eval.validation_errors import key_path, value_sentence, yaml_sentence

MAX_BYTES = 1 << 20


def _name(text: str) -> str:
    if not re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", text):
        raise ValueError(f"must be at most 64 lower-case letters, digits, - and _, not {text[:80]!r}")
    return text


class ProductionConfig(Section):
    """Everything about one policy in production.

    Attributes:
        name: of the policy, in the registry, in metrics and in audit lines.
        folder: of embedded parts; a relative one is below the folder of the config file.
    """

    name: Annotated[str, AfterValidator(_name)]
    folder: FileName = "production"
    serve: ServeConfig = ServeConfig()
    collect: CollectConfig = CollectConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    quality: QualityConfig = QualityConfig()
    registry: RegistryConfig = RegistryConfig()
    audit: AuditConfig = AuditConfig()
    rollout: RolloutConfig = RolloutConfig()
    training: TrainingConfig = TrainingConfig()
    trigger: TriggerConfig = TriggerConfig()
    proof: ProofConfig = ProofConfig()
    review: ReviewConfig = ReviewConfig()
    loop: LoopConfig = LoopConfig()
    directory: Path = Field(Path(), exclude=True)  # of the config file; set by `load_config`

    @model_validator(mode="before")
    @classmethod
    def _queue_of_its_own(cls, values: Any) -> Any:
        """Policies that share a Redis or Kafka have queues of their own, unless they name one."""
        collect = values.get("collect", {}) if isinstance(values, dict) else None
        if not isinstance(collect, dict) or collect.get("name") or not isinstance(values.get("name"), str):
            return values
        return {**values, "collect": {**collect, "name": values["name"]}}

    @model_validator(mode="before")
    @classmethod
    def _bounds_of_rewards(cls, values: Any) -> Any:
        """The bounds of a unit's reward are those of the rewards that are accepted, unless they are given."""
        if not isinstance(values, dict):
            return values
        quality, rollout = values.get("quality"), values.get("rollout", {})
        reward = quality.get("reward") if isinstance(quality, dict) else None
        if not isinstance(rollout, dict) or not isinstance(reward, list) or len(reward) != 2:
            return values
        return {**values, "rollout": {"low": reward[0], "high": reward[1], **rollout}}

    @model_validator(mode="after")
    def _bounds_that_hold(self) -> ProductionConfig:
        low, high = self.quality.reward
        if "reward" in self.quality.model_fields_set and not self.rollout.low <= low < high <= self.rollout.high:
            raise ValueError(
                f"rollout.low and rollout.high, {self.rollout.low:g} and {self.rollout.high:g}, do not contain "
                f"quality.reward, {low:g} to {high:g}: leave them out, or give bounds of every reward"
            )
        return self

    @model_validator(mode="after")
    def _kept_for_long_enough(self) -> ProductionConfig:
        if self.rollout.reward_window >= self.privacy.retention:
            raise ValueError(
                "rollout.reward_window must be shorter than privacy.retention, or decisions are removed before they "
                "count"
            )
        return self

    @model_validator(mode="after")
    def _rules_of_known_features(self) -> ProductionConfig:
        names = self.quality.features
        for name in self.privacy.features:
            if names and name not in names:
                raise ValueError(
                    f"privacy.features: {name!r} is not one of quality.features: {nearest(name, names)}use these names"
                )
            if not names and not (re.fullmatch("0|[1-9][0-9]{0,4}", name) and int(name) < MAX_FEATURES):
                raise ValueError(
                    f"privacy.features: quality.features has no names, so {name!r} must be the number of a feature, "
                    "from '0'"
                )
        return self

    @property
    def path(self) -> Path:
        """The folder of embedded parts."""
        return self.directory / self.folder


def load_config(path: Path) -> ProductionConfig:
    """The config in a YAML file.

    Raises:
        InputError: it cannot be read, or a key or value is not valid.
    """
    try:
        node, values = load_yaml(read_bounded(path, MAX_BYTES).decode())
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: name a production config, a YAML file with `name:`") from error
    except (OSError, UnicodeDecodeError, OverflowError) as error:
        raise InputError(f"{path} cannot be read ({error}): name a production config") from error
    except yaml.YAMLError as error:
        line, sentence = yaml_sentence(error)
        raise InputError(f"{path}{f':{line}' if line else ''}: {sentence}") from error
    if not isinstance(values, dict) or "directory" in values:
        raise InputError(
            f"{path} is not a production config: it is a mapping with `name:` and sections such as `collect:`"
        )
    if duplicate := duplicate_key(node):
        key, line = duplicate
        raise InputError(f"{path}:{line}: duplicate key {brief(repr(key), 80)}: keep one")
    if (text := _not_text(values)) is not None:
        raise InputError(f"{path}: {brief(ascii(text), 80)} holds half of a surrogate pair: write it as UTF-8 text")
    if kind := _other_kind(values):
        raise InputError(f"{path} is {kind}: name a production config, a mapping with `name:` and such as `collect:`")
    if other := [key for key in values if not isinstance(key, str)]:
        raise InputError(f"{path}: {brief(repr(other[0]), 80)} is not a key: allowed are {', '.join(_keys(('',)))}")
    try:
        return ProductionConfig.model_validate({**values, "directory": path.absolute().parent})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, key_path(first, values)))
        sentence = value_sentence(first, _keys(first["loc"]))
        raise InputError(f"{path}: {key}: {sentence}" if key else f"{path}: {sentence}") from error


def _not_text(value: Any) -> str | None:
    """A text in YAML values that UTF-8 cannot express."""
    if isinstance(value, str):
        return value if any("\ud800" <= character <= "\udfff" for character in value) else None
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return next((text for part in parts if (text := _not_text(part)) is not None), None)


def _other_kind(values: dict[Any, Any]) -> str | None:
    """The kind of another file, by its keys; None: perhaps a production config."""
    if "rl_eval" in values and "criteria" in values:
        return "a suite, which pytest judges with --rl-run RUN, not a production config"
    if {"production", "periods"} <= values.keys():
        return "a config of the demo, for `rl-eval production demo --config`, not a production config"
    if "services" in values:
        return "a file of Docker Compose, not a production config"
    return None if values.keys() & set(_keys(("",))) else "not a production config"


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the section that a key is in."""
    model: Any = ProductionConfig
    for part in location[:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = None if field is None else field.annotation
    return [name for name in getattr(model, "model_fields", ()) if name != "directory"]
