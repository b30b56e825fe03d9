"""The sections `serve`, `collect`, `privacy` and `quality` of a production config."""

from __future__ import annotations

import re
import urllib.parse
from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from rl_eval.net import LOOPBACK
from rl_eval.production.section import Duration, Section, duration_text, path_text

RETENTION_S = 7 * 86_400.0  # the longest that anything of a person may be kept
MAX_FEATURES = 1 << 16
_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")


def _without_password(address: str) -> str:
    if _PASSWORD.search(address):
        raise ValueError(
            "must hold no password: set PGPASSWORD, RL_EVAL_REDIS_AUTH or RL_EVAL_KAFKA_AUTH in the environment"
        )
    return address


def _store(address: str) -> str:
    if not address.startswith(("sqlite:///", "postgresql://")):
        raise ValueError(f"must be sqlite:///FILE or postgresql://HOST/NAME, not {address!r}")
    if address.startswith("sqlite"):
        path_text(address.removeprefix("sqlite:///"))
    else:
        _parsed(address)
    return address


def _parsed(address: str) -> urllib.parse.SplitResult:
    """The parts of an address of a server; its port is a number where it has one."""
    try:
        parts = urllib.parse.urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"has a host or port that is not valid, in {address!r}") from error
    if re.search(r"[\s\x00-\x1f\x7f]", address):
        raise ValueError(f"must have no blanks or control characters, not {address!r}")
    return parts


def _host(host: str) -> str:
    if not re.fullmatch("[A-Za-z0-9:][A-Za-z0-9._:%-]{0,254}", host):
        raise ValueError(f"must be a name or an address, such as 127.0.0.1, not {host[:80]!r}")
    return host


def _queue(address: str) -> str:
    if address != "store" and not address.startswith(("redis://", "rediss://", "kafka://")):
        raise ValueError(f"must be store, redis://HOST:PORT/DB or kafka://HOST:PORT, not {address!r}")
    if address.startswith("redis"):
        parts = _parsed(address)
        if not parts.hostname or not re.fullmatch("/?|/[0-9]{1,6}", parts.path):
            raise ValueError(f"must be redis://HOST:PORT/DB with a number as DB, not {address!r}")
    if address.startswith("kafka") and not re.fullmatch(r"kafka://[^\s,/:]+(:\d+)?(,[^\s,/:]+(:\d+)?)*", address):
        raise ValueError(f"must be kafka://HOST:PORT, with more after commas, not {address!r}")
    return address


Address = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_without_password)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class ServeConfig(Section):
    """Where the production servers listen, and which policies they take up."""

    host: Annotated[str, AfterValidator(_host)] = LOOPBACK
    port: int = Field(8000, ge=0, le=65_535)
    follow: Duration = Field(1.0, description="Time between two looks at the aliases and at the roll-out.")
    trust: bool = Field(False, description="Whether plugins of a run may be imported.")
    machine: str | None = Field(None, description="A row of the price list; None: what decisions cost is not known.")
    share: float = Field(1.0, gt=0, le=1_000, description="Of that machine, what one server holds.")


class CollectConfig(Section):
    """Where decisions and rewards go.

    Attributes:
        store: `sqlite:///FILE` (a relative file is in the folder of the config's `folder`) or `postgresql://…`.
        queue: `store`, `redis://HOST:PORT/DB` or `kafka://HOST:PORT`.
        name: of the stream, topic or queue; where it is left out, the name of the policy.
        group: of the consumers, where the queue has groups.
        batch: records that the collector stores in one transaction, at most.
        max_waiting: messages of a Redis stream, at most; then experience is refused, and decisions are not recorded.
        settings: of librdkafka, by its own names.
    """

    store: Annotated[Address, AfterValidator(_store)] = "sqlite:///store.sqlite"
    queue: Annotated[Address, AfterValidator(_queue)] = "store"
    name: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,99})?$")] = ""
    group: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = "collector"
    batch: int = Field(2_000, ge=1, le=100_000)
    max_waiting: int = Field(1_000_000, ge=1)
    settings: dict[str, str] = {}


def _retention(seconds: float) -> float:
    if seconds > RETENTION_S:
        raise ValueError(f"must be at most 7d, not {duration_text(seconds)}: nothing of a person is kept for longer")
    return seconds


class FieldRule(Section):
    """What happens to one feature of the observations before anything sees it.

    Attributes:
        action: `drop` puts 0 in its place, `hash` one of `buckets` numbers by a keyed hash, `coarsen` the nearest
            multiple of `step`.
    """

    action: Literal["drop", "hash", "coarsen"]
    step: float | None = Field(None, gt=0, allow_inf_nan=False)
    buckets: int = Field(1024, ge=2, le=1 << 20)

    @model_validator(mode="after")
    def _step_of_coarsen(self) -> FieldRule:
        if (self.action == "coarsen") != (self.step is not None):
            raise ValueError("step belongs to action: coarsen, which needs it")
        return self


class PrivacyConfig(Section):
    """What is kept of a person, and for how long.

    Attributes:
        unit: what happens to the unit: its pseudonym by a keyed hash, or nothing.
        features: name or number of a feature -> its rule.
        retention: how long records are kept; at most 7 days.
    """

    unit: Literal["hash", "drop"] = "hash"
    features: dict[FeatureName, FieldRule] = Field({}, max_length=MAX_FEATURES)
    retention: Annotated[Duration, AfterValidator(_retention)] = RETENTION_S


class QualityConfig(Section):
    """Which experience is accepted.

    Attributes:
        features: names of the features in their order; where there are none, a feature is named by its number.
        limit: largest size of a feature.
        reward: lowest and highest reward.
        versions: policy versions back from the newest that are accepted.
        max_age: of a decision when its reward arrives.
        shift: distance of a feature from the reference mean, in deviations of the reference; more is refused.
        reference: accepted experiences that make the reference.
        conflicts: what happens to equal observations and actions with other rewards.
    """

    features: list[FeatureName] = Field([], max_length=MAX_FEATURES)
    limit: float = Field(1e6, gt=0, allow_inf_nan=False)
    reward: Annotated[list[Finite], Field(min_length=2, max_length=2)] = [-1e6, 1e6]
    versions: int = Field(3, ge=1, le=1000)
    max_age: Duration = RETENTION_S
    shift: float | None = Field(8.0, gt=0, allow_inf_nan=False)
    reference: int = Field(1000, ge=2, le=1_000_000)
    conflicts: Literal["keep", "refuse"] = "keep"

    @model_validator(mode="after")
    def _named_once(self) -> QualityConfig:
        if twice := [name for name, count in Counter(self.features).items() if count > 1]:
            raise ValueError(f"features names {twice[0]!r} twice: give each feature a name of its own")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> QualityConfig:
        if not self.reward[0] < self.reward[1]:
            raise ValueError("reward must be the lowest and the highest reward, such as [-1.0, 1.0]")
        return self
