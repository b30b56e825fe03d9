"""What can be judged: anything that acts.

A policy is named by one string: a run directory, a control (`random`, `constant:<a>`, `untrained`), a
`baseline:<name>` of the environment, `python:<module>:<callable>`, or
`sb3:<algo>:<zip>[+<vecnormalize.pkl>]`.
"""

from __future__ import annotations

import importlib
import inspect
import re
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


def _finite(box: gym.Space) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of a Box, with a large number where there is none."""
    assert isinstance(box, gym.spaces.Box)
    return np.maximum(box.low, -1e6), np.minimum(box.high, 1e6)


class Random:
    """A uniform draw from the action space, whatever the observation."""

    def __init__(self, action: gym.Space, seed: int):
        self._action, self._rng = action, np.random.default_rng(seed)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """`[N]` or `[N, A]` independent uniform actions."""
        n = len(obs)
        if isinstance(self._action, gym.spaces.Discrete):
            return self._rng.integers(self._action.start, self._action.start + self._action.n, n)
        low, high = _finite(self._action)
        return self._rng.uniform(low, high, (n, *low.shape)).astype(self._action.dtype)


class Constant:
    """The same action for every observation.

    On a Box, `low`, `middle`, `high` or one number for every component.
    """

    def __init__(self, action: gym.Space, value: str):
        if isinstance(action, gym.spaces.Discrete):
            first, last = int(action.start), int(action.start + action.n - 1)
            if not re.fullmatch("-?[0-9]+", value) or not first <= int(value) <= last:
                raise InputError(f"policy constant:{value} is not an action: the actions are {first} to {last}")
            self._value: np.ndarray = np.asarray(int(value))
        else:
            assert isinstance(action, gym.spaces.Box)
            low, high = _finite(action)
            named = {"low": low, "middle": (low + high) / 2, "high": high}
            try:
                chosen = named[value] if value in named else np.full(low.shape, float(value))
            except ValueError:
                chosen = np.full(low.shape, np.nan)
            chosen = chosen.astype(np.result_type(action.dtype, np.float32))  # a bound of .7 is no .7 in float64
            if not (np.isfinite(chosen) & (action.low <= chosen) & (chosen <= action.high)).all():
                raise InputError(
                    f"policy constant:{value} is not an action: give low, middle, high or one number "
                    f"from {action.low.max():g} to {action.high.min():g}"
                )
            self._value = chosen.astype(action.dtype)

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """The constant, `[N]` or `[N, A]`."""
        return np.broadcast_to(self._value, (len(obs), *self._value.shape)).copy()


class Function:
    """A function of somebody else's, `f(obs [N, …]) -> actions [N]`, or one that takes `greedy` as well."""

    def __init__(self, function: Any, name: str, action: gym.Space):
        self._function, self._name, self._action = function, name, action
        try:
            self._takes_greedy = "greedy" in inspect.signature(function).parameters
        except ValueError:  # some built-in functions have no signature
            self._takes_greedy = False

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """What the function answers, clipped to a Box.

        Raises:
            InputError: it is not one action an observation, or no action of the environment.
        """
        keywords = {"greedy": greedy} if self._takes_greedy else {}
        actions = np.asarray(self._function(obs, **keywords))
        if actions.shape != (len(obs), *(self._action.shape or ())):
            raise InputError(
                f"policy {self._name} returned actions of shape {actions.shape} for {len(obs)} observations: "
                f"it must return one action an observation, {(len(obs), *(self._action.shape or ()))}"
            )
        if not self._all_valid(actions):
            raise InputError(
                f"policy {self._name} returned {actions.dtype} actions that are none of the environment's: "
                f"every action must lie in {self._action}"
            )
        if isinstance(self._action, gym.spaces.Box):
            return np.clip(actions, self._action.low, self._action.high).astype(self._action.dtype)
        return actions

    def _all_valid(self, actions: np.ndarray) -> bool:
        if isinstance(self._action, gym.spaces.Discrete):
            first, count = self._action.start, self._action.n
            return actions.dtype.kind in "iu" and all(first <= a < first + count for a in actions.tolist())
        return actions.dtype.kind in "iuf" and bool(np.isfinite(actions).all())


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
        return _untrained(spaces, rest, seed)
    if kind == "baseline":
        return _baseline(rest, config)
    if kind == "python":
        return _python(rest, spec, spaces, trust)
    if kind == "sb3":
        return _sb3(rest, spec, spaces, trust)
    if Path(spec).exists():
        return _run(Path(spec), spaces, seed)
    raise InputError(
        f"policy {spec!r} is neither a run directory nor a policy: give a run directory, random, constant:<a>, "
        "untrained, baseline:<name>, python:<module>:<callable> or sb3:<algo>:<zip>[+<vecnormalize.pkl>]"
    )


def _run(path: Path, spaces: Spaces, seed: int) -> Policy:
    from rl_eval.run import read_checkpoint, read_run
    from rl_eval.target import resolve

    snapshot = read_run(path).judged_snapshot()
    arrays, meta = read_checkpoint(snapshot, "policy")
    try:
        env, shape = meta["env"], tuple(meta["obs_shape"])
        if env != spaces.env or shape != spaces.observation.shape:
            raise InputError(
                f"{path} holds a policy for {env} with observations of shape {shape}, "
                f"not for {spaces.env} with {spaces.observation.shape}: name a run of {spaces.env}"
            )
        if "action_space" in meta:
            action = resolve("agents.policy.restore_action_space")(meta["action_space"])
            if action != spaces.action:
                raise InputError(
                    f"{path} holds a policy with actions in {action}, but this {spaces.env} takes {spaces.action}: "
                    "name a run with the same env.kwargs"
                )
        return resolve(meta["_target_"])(arrays, meta, seed=seed)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{snapshot / 'policy.json'} does not describe a policy of ours ({error}): use another snapshot"
        ) from error


def _untrained(spaces: Spaces, which: str, seed: int) -> Policy:
    from rl_eval.target import resolve

    if not re.fullmatch("[0-9]*", which):
        raise InputError(f"policy untrained:{which} is not one: give untrained, or untrained:<k> with k = 0, 1, 2, …")
    return resolve("agents.policy.untrained")(
        spaces.observation, spaces.action, initialisation=int(which or 0), seed=seed
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


def _python(rest: str, spec: str, spaces: Spaces, trust: bool) -> Policy:
    _needs_trust(spec, trust, "imports and runs code")
    module, _, name = rest.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
        if isinstance(found, type):
            found = found()
    except Exception as error:  # its code is not ours: whatever it raises
        raise InputError(f"policy {spec!r} cannot be loaded: {' '.join(str(error).split())}") from error
    acts = found.act if hasattr(found, "act") else found
    if not callable(acts):
        raise InputError(f"policy {spec!r} names {type(found).__name__}, which cannot be called with observations")
    return Function(acts, spec, spaces.action)


def _sb3(rest: str, spec: str, spaces: Spaces, trust: bool) -> Policy:
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
    try:  # both unpickle: the person said --trust
        model = model_class.load(zip_file, device="cpu")
        normalize = load_from_pkl(statistics) if statistics else None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise InputError(f"policy {spec!r} cannot be read: {' '.join(str(error).split())}") from error
    if normalize is not None:
        if not isinstance(normalize, VecNormalize):
            raise InputError(f"policy {spec!r}: {statistics} does not hold a VecNormalize")
        normalize.training = False
    if model.observation_space.shape != spaces.observation.shape or model.action_space != spaces.action:
        raise InputError(
            f"policy {spec!r} maps {model.observation_space} to {model.action_space}, "
            f"but {spaces.env} has {spaces.observation} and {spaces.action}: name a model of {spaces.env}"
        )
    return StableBaselines3(model, normalize)
