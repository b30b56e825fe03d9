"""What can be judged: anything that acts.

A policy is named by one string: a run directory, a control (`random`, `constant:<a>`, `untrained`), a
`baseline:<name>` of the environment, `python:<module>:<callable>`, or
`sb3:<algo>:<zip>[+<vecnormalize.pkl>]`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError, nearest


@runtime_checkable
class Policy(Protocol):
    """Maps observations `[N, …]` to actions `[N]` (discrete) or `[N, A]` (continuous).

    A policy may also offer `probabilities(obs) -> [N, A]`, for discrete actions.
    """

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The most likely action of each copy when greedy, else a sample."""


@dataclass(frozen=True)
class Spaces:
    """The single-copy spaces a policy must fit, and the environment they belong to."""

    env: str
    observation: gym.Space
    action: gym.Space

    @classmethod
    def of(cls, config: Any, envs: gym.vector.VectorEnv) -> Spaces:
        """The spaces of a vector environment made from `config`."""
        return cls(config.name, envs.single_observation_space, envs.single_action_space)


class Random:
    """A uniform draw from the action space, whatever the observation."""

    def __init__(self, action: gym.Space, seed: int):
        self._action, self._rng = action, np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """`[N]` or `[N, A]` independent uniform actions."""
        n = len(obs)
        if isinstance(self._action, gym.spaces.Discrete):
            return self._rng.integers(self._action.start, self._action.start + self._action.n, n)
        low, high = np.maximum(self._action.low, -1e6), np.minimum(self._action.high, 1e6)
        return self._rng.uniform(low, high, (n, *self._action.shape)).astype(self._action.dtype)


class Constant:
    """The same action for every observation.

    On a Box, `low`, `middle`, `high` or one number for every component.
    """

    def __init__(self, action: gym.Space, value: str):
        if isinstance(action, gym.spaces.Discrete):
            first, last = int(action.start), int(action.start + action.n - 1)
            if not value.lstrip("-").isdigit() or not first <= int(value) <= last:
                raise InputError(f"policy constant:{value} is not an action: the actions are {first} to {last}")
            self._value: np.ndarray = np.asarray(int(value))
        else:
            low, high = np.maximum(action.low, -1e6), np.minimum(action.high, 1e6)
            named = {"low": low, "middle": (low + high) / 2, "high": high}
            try:
                chosen = named[value] if value in named else np.full(action.shape, float(value))
            except ValueError as error:
                raise InputError(
                    f"policy constant:{value} is not an action: give low, middle, high or one number"
                ) from error
            self._value = np.clip(chosen, action.low, action.high).astype(action.dtype)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The constant, `[N]` or `[N, A]`."""
        return np.broadcast_to(self._value, (len(obs), *self._value.shape)).copy()


class Function:
    """A plain function `f(obs [N, …]) -> actions [N]`, or one that takes `greedy` as well."""

    def __init__(self, function: Any, name: str):
        self._function, self._name = function, name

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """What the function answers, checked for its length."""
        actions = np.asarray(self._function(obs))
        if len(np.atleast_1d(actions)) != len(obs):
            raise InputError(
                f"policy {self._name} returned actions of shape {actions.shape} for {len(obs)} observations: "
                "it must return one action an observation"
            )
        return actions


class StableBaselines3:
    """A Stable-Baselines3 model, with the statistics of its VecNormalize where given."""

    def __init__(self, model: Any, normalize: Any | None):
        self._model, self._normalize = model, normalize

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The model's prediction on (normalised) observations."""
        if self._normalize is not None:
            obs = self._normalize.normalize_obs(obs)
        return self._model.predict(obs, deterministic=greedy)[0]


def load(spec: str, spaces: Spaces, config: Any, *, seed: int = 0, trust: bool = False) -> Policy:
    """The policy that `spec` names, fitted to an environment.

    Args:
        spec: a run directory, `random`, `constant:<a>`, `untrained[:<k>]`, `baseline:<name>`,
            `python:<module>:<callable>` or `sb3:<algo>:<zip>[+<vecnormalize.pkl>]`.
        spaces: what the policy must fit.
        config: the environment's config, for its baselines.
        seed: of the policy's own draws.
        trust: whether the person allowed code from elsewhere to run (`sb3:` unpickles, `python:` imports).

    Raises:
        InputError: the policy does not exist, does not fit, or needs `--trust`.
    """
    kind, _, rest = spec.partition(":")
    if kind == "random" and not rest:
        return Random(spaces.action, seed)
    if kind == "constant" and rest:
        return Constant(spaces.action, rest)
    if kind == "untrained":
        return _untrained(spaces, int(rest) if rest.isdigit() else 0, seed)
    if kind == "baseline":
        return _baseline(rest, config)
    if kind == "python":
        return _python(rest, spec, trust)
    if kind == "sb3":
        return _sb3(rest, spec, trust)
    if Path(spec).exists():
        return _run(Path(spec), spaces, seed)
    raise InputError(
        f"policy {spec!r} is neither a run directory nor a policy: give a run directory, random, constant:<a>, "
        "untrained, baseline:<name>, python:<module>:<callable> or sb3:<algo>:<zip>[+<vecnormalize.pkl>]"
    )


def _run(path: Path, spaces: Spaces, seed: int) -> Policy:
    from rl_eval.run import read_checkpoint, read_run
    from rl_eval.target import resolve

    run = read_run(path)
    arrays, meta = read_checkpoint(run.judged_snapshot(), "policy")
    if meta["env"] != spaces.env or tuple(meta["obs_shape"]) != spaces.observation.shape:
        raise InputError(
            f"{path} holds a policy for {meta['env']} with observations of shape {tuple(meta['obs_shape'])}, "
            f"not for {spaces.env} with {spaces.observation.shape}: name a run of {spaces.env}"
        )
    return resolve(meta["_target_"])(arrays, meta, seed=seed)


def _untrained(spaces: Spaces, initialisation: int, seed: int) -> Policy:
    from rl_eval.target import resolve

    return resolve("agents.policy.untrained")(
        spaces.observation, spaces.action, initialisation=initialisation, seed=seed
    )


def _baseline(name: str, config: Any) -> Policy:
    from rl_eval.envs import domain

    known = domain(config.name).BASELINES
    if name not in known:
        listed = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(f"baseline:{name} is not a baseline of {config.name}: {nearest(name, known)}{listed}")
    return known[name](config)


def _needs_trust(spec: str, trust: bool, why: str) -> None:
    if not trust:
        raise InputError(f"policy {spec!r} {why}: add --trust if you trust where it comes from")


def _python(rest: str, spec: str, trust: bool) -> Policy:
    _needs_trust(spec, trust, "imports and runs code")
    module, _, name = rest.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"policy {spec!r} cannot be loaded: {error}") from error
    if isinstance(found, type):
        found = found()
    if hasattr(found, "act"):
        return found
    if not callable(found):
        raise InputError(f"policy {spec!r} names {type(found).__name__}, which cannot be called with observations")
    return Function(found, spec)


def _sb3(rest: str, spec: str, trust: bool) -> Policy:
    _needs_trust(spec, trust, "is a pickle, which can run code when it is read")
    algo, _, files = rest.partition(":")
    zip_file, _, statistics = files.partition("+")
    for file in filter(None, (zip_file, statistics)):
        if not Path(file).is_file():
            raise InputError(f"policy {spec!r}: the file {file} does not exist")
    try:
        import stable_baselines3
        from stable_baselines3.common.save_util import load_from_pkl
        from stable_baselines3.common.vec_env import VecNormalize
    except ImportError as error:
        raise InputError(
            f"policy {spec!r} needs Stable-Baselines3: pip install stable-baselines3, or 'rl_eval[peers]'"
        ) from error
    model_class = getattr(stable_baselines3, algo.upper(), None)
    if model_class is None:
        raise InputError(f"policy {spec!r}: {algo!r} is not an algorithm of Stable-Baselines3 (ppo, a2c, dqn, sac, …)")
    model = model_class.load(zip_file, device="cpu")
    normalize = None
    if statistics:
        normalize = load_from_pkl(statistics)  # unpickles: the person said --trust
        if not isinstance(normalize, VecNormalize):
            raise InputError(f"policy {spec!r}: {statistics} does not hold a VecNormalize")
        normalize.training = False
    return StableBaselines3(model, normalize)
