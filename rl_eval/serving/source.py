"""`Source`: what `rl-eval serve` was asked to serve, a run or an ONNX file, with the domain that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval import domains, policy, run
from rl_eval.agent_registry import agent
from rl_eval.domains import Domain, EnvConfig
from rl_eval.domains.text import TextObserver
from rl_eval.errors import InputError
from rl_eval.plugins import require_plugins_of_run
from rl_eval.policy import Spaces
from rl_eval.serving.served_policy import ServedPolicy

VERSION_LENGTH = 16  # characters of a SHA-256


@dataclass(frozen=True)
class Source:
    """A policy to serve.

    Attributes:
        name: for messages and for the names of models in KServe's protocol.
        policy: its first version.
        arrays, meta: of the snapshot; empty of an ONNX file.
        run_config: the config of the run; None of an ONNX file, which does not learn.
        domain, env_config: None if this installation does not know them.
    """

    name: str
    policy: ServedPolicy
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)
    run_config: Mapping[str, Any] | None = field(default=None, repr=False)
    domain: Domain[Any] | None = field(default=None, repr=False)
    env_config: EnvConfig | None = field(default=None, repr=False)
    preprocessing: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def action_names(self) -> list[str]:
        """Names of the actions; empty if they have none."""
        return [] if self.domain is None or self.env_config is None else [*self.domain.action_names(self.env_config)]

    def text_observer(self) -> TextObserver | None:
        """How texts are read as observations, where the domain can.

        Raises:
            InputError: the run's preprocessing is damaged, or its encoder is not here.
        """
        if self.domain is None or self.env_config is None:
            return None
        try:
            return self.domain.text_observer(self.env_config, self.preprocessing)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from error

    def routes(self) -> Any:
        """The domain's own routes; None: there are none."""
        if self.domain is None or self.env_config is None:
            return None
        return self.domain.routes(self.env_config, self.preprocessing)


def load(spec: str, *, seed: int, trust: bool) -> Source:
    """The policy that a person named.

    Args:
        spec: a run directory, or `onnx:<file>`.
        seed: of what a policy of other code draws.
        trust: whether plugins of a run may be imported.

    Raises:
        InputError: it does not exist, is damaged, or cannot be served.
    """
    prefix, colon, rest = spec.partition(":")
    if colon and prefix == "onnx":
        return _load_onnx(rest, spec, seed)
    if policy.names_policy(spec):
        raise InputError(f"policy {spec!r} cannot be served: name a run directory, or onnx:<file>")
    return _load_run(Path(spec), seed, trust)


def served(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], version: str, seed: int) -> ServedPolicy:
    """The policy in the checkpoint of an agent.

    Raises:
        InputError: it is of no agent that is registered here, or does not fit.
    """
    try:
        shape, action = tuple(int(size) for size in meta["obs_shape"]), meta["action_space"]
        observation = gym.spaces.Box(-np.inf, np.inf, shape, np.float32)
        spaces = Spaces(str(meta["env"]), observation, policy.action_space_from_json(action))
        acting = agent(meta["agent"]).load_policy(arrays, meta, seed=seed)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint does not describe a policy of this project ({error}): use another one"
        ) from error
    return ServedPolicy(version, spaces, acting, bool(meta.get("action_masks")))


def version_of(arrays: Mapping[str, np.ndarray]) -> str:
    """The version of a policy: equal for equal arrays."""
    return run.arrays_sha256(arrays)[:VERSION_LENGTH]


def _load_run(path: Path, seed: int, trust: bool) -> Source:
    trained = run.read_run(path)
    require_plugins_of_run(path, trained.config, trust=trust)
    snapshot = trained.judged_snapshot()
    arrays, meta = run.read_checkpoint(snapshot, "policy")
    first = served(arrays, meta, version_of(arrays), seed)
    config = run.environment_of(trained)
    return Source(
        name=_plain(str(trained.info.get("name") or path.resolve().name)),
        policy=first,
        arrays=arrays,
        meta=meta,
        run_config=trained.config,
        domain=domains.domain(config.name),
        env_config=config,
        preprocessing=run.read_preprocessing(trained) or {},
    )


def _load_onnx(file: str, spec: str, seed: int) -> Source:
    spaces = policy.onnx_spaces(file, spec)
    acting = policy.load(spec, spaces, None, seed=seed)
    version = (policy.identity(spec) or "")[:VERSION_LENGTH]
    known = spaces.env in domains.DOMAINS
    return Source(
        name=_plain(Path(file).stem),
        policy=ServedPolicy(version, spaces, acting),
        domain=domains.domain(spaces.env) if known else None,
    )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "policy"
