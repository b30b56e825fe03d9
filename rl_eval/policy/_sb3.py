"""`sb3:<algo>:<zip>[+<vecnormalize.pkl>]`: models of Stable-Baselines3 and sb3-contrib, which are pickles."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import as_it_is, batch, space_text
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.formatting import short_path
from rl_eval.policy._actions import checked_actions
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces, starts
from rl_eval.policy._randomness import OwnRandomness
from rl_eval.policy._sb3_files import SAME, algorithm_of, unnamed_statistics, zip_and_statistics
from rl_eval.policy._sb3_pickles import names_installed_code_alone
from rl_eval.policy._source import Source


class StableBaselines3Policy:
    """A Stable-Baselines3 model, with the statistics of its VecNormalize if there are any.

    It predicts one observation per call: the last bits of a row depend on the size of its batch.
    """

    def __init__(self, model: Any, normalize: Any | None, spec: str, spaces: Spaces, seed: int):
        self._model, self._normalize, self._randomness = model, normalize, OwnRandomness(seed)
        self._spec, self._spaces = spec, spaces
        self._takes_mask = "action_masks" in inspect.signature(model.predict).parameters
        self._memory: list[Any] = []  # of each copy, None before its first call
        self.has_memory = hasattr(model, "policy") and hasattr(model.policy, "lstm_actor")

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """The model's prediction on (normalised) observations; recurrent ones remember until an episode starts.

        Raises:
            InputError: it predicts something that is not an action of the environment.
        """
        start = starts(episode_start, len(obs))
        if start.all():
            self._memory = [None] * len(obs)
        with self._randomness:
            actions = np.concatenate([self._one_action(obs, greedy, mask, start, row) for row in range(len(obs))])
        return checked_actions(actions, len(obs), self._spaces.action, self._spec)

    def _one_action(
        self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None, start: np.ndarray, row: int
    ) -> np.ndarray:
        one = slice(row, row + 1)
        observation = batch(self._spaces.observation, obs[one])
        if self._normalize is not None:
            observation = self._normalize.normalize_obs(observation)
        action, self._memory[row] = self._model.predict(
            observation,
            state=None if start[row] else self._memory[row],
            episode_start=start[one],
            deterministic=greedy,
            **({} if mask is None or not self._takes_mask else {"action_masks": mask[one]}),
        )
        return action


class StableBaselines3Source(Source):
    """A model of Stable-Baselines3 or sb3-contrib, by algorithm and file. Needs trust."""

    prefix = "sb3"
    usage = "sb3:<algo>:<zip>[+<vecnormalize.pkl>]"
    acts_alone = True
    files: ClassVar[Mapping[str, str]] = {".zip": "sb3:ppo:{file} (or its other algorithm)"}

    def needs_trust(self, rest: str) -> str | None:
        """Always."""
        return "is a pickle, which can run code when it is read"

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The model; unpickles.

        Raises:
            InputError: a file is missing or damaged, Stable-Baselines3 is not installed, or the model does not fit.
        """
        algo, _, files = rest.partition(":")
        zip_file, statistics = zip_and_statistics(files)
        if not algo or not zip_file:
            raise InputError(f"policy {spec!r} names no file: give {self.usage}")
        for file in filter(None, (zip_file, statistics)):
            if not Path(file).is_file():
                raise InputError(f"policy {spec!r}: the file {file} does not exist")
        with imports_of_extra("sb3", f"policy {spec!r}"):
            import stable_baselines3  # noqa: F401 - its absence is named first
            from stable_baselines3.common.base_class import BaseAlgorithm
            from stable_baselines3.common.save_util import load_from_pkl
            from stable_baselines3.common.vec_env import VecNormalize
        model_class = _algorithm(algo, spec, BaseAlgorithm)
        held = algorithm_of(zip_file)
        if held is not None and held != SAME.get(algo.lower(), algo.lower()):
            raise InputError(
                f"policy {spec!r}: the file holds a model of {held}, not of {algo}: name it sb3:{held}:{files}"
            )
        try:  # both unpickle, which --trust allows
            with OwnRandomness(seed):  # a model with a seed of its own sets the global generators
                model = model_class.load(zip_file, device="cpu")
                normalize = load_from_pkl(statistics) if statistics else None
        except Exception as error:  # a damaged pickle raises anything
            raise InputError(f"policy {spec!r} cannot be read: {' '.join(str(error).split())}") from error
        if normalize is not None:
            if not isinstance(normalize, VecNormalize):
                raise InputError(f"policy {spec!r}: {statistics} does not hold a VecNormalize")
            normalize.training = False
        observation = as_it_is(spaces.observation)
        if not _takes(model.observation_space, observation) or model.action_space != spaces.action:
            raise InputError(
                f"policy {spec!r} maps {space_text(model.observation_space)} to {space_text(model.action_space)}, "
                f"but {spaces.title} has {space_text(observation)} and {space_text(spaces.action)}: name a model of "
                f"{spaces.title}"
            )
        model.action_space.seed(seed)  # exploring models draw from it
        return StableBaselines3Policy(model, normalize, spec, spaces, seed)

    def notes(self, rest: str) -> Sequence[str]:
        """Statistics that are next to the model and are not named."""
        zip_file, statistics = zip_and_statistics(rest.partition(":")[2])
        unnamed = None if statistics or not Path(zip_file).is_file() else unnamed_statistics(zip_file)
        if unnamed is None:
            return ()
        return (f"{short_path(unnamed)} is next to the model and is not used; +{short_path(unnamed)} adds it",)

    def identity(self, rest: str) -> str | None:
        """A hash of the algorithm and the bytes of its files."""
        algo, _, files = rest.partition(":")
        return digest(self.prefix, algo.lower(), *(Path(file) for file in filter(None, zip_and_statistics(files))))

    def is_cacheable(self, rest: str) -> bool:
        """Whether its pickles name only code of installed packages; they are scanned, not loaded."""
        model, statistics = zip_and_statistics(rest.partition(":")[2])
        return names_installed_code_alone(Path(model), Path(statistics) if statistics else None)

    def canonical(self, rest: str) -> str:
        """The algorithm in lower case, and the files."""
        algo, _, files = rest.partition(":")
        return f"{algo.lower()}:{'+'.join(str(short_path(file)) for file in filter(None, zip_and_statistics(files)))}"


def _algorithm(name: str, spec: str, base: type) -> Any:
    """The class of an algorithm, with its name in any letter case; `base` is what all of them are.

    Raises:
        InputError: neither package has it, or sb3-contrib, which may have it, is not installed.
    """
    with imports_of_extra("sb3", f"policy {spec!r}"):
        import stable_baselines3

        found = _member(stable_baselines3, name, base)
        if found is None:
            import sb3_contrib

            found = _member(sb3_contrib, name, base)
    if found is None:
        raise InputError(
            f"policy {spec!r}: {name!r} is not an algorithm of Stable-Baselines3 (ppo, a2c, dqn, sac, td3, …) or "
            "sb3-contrib (recurrentppo, maskableppo, tqc, …)"
        )
    return found


def _takes(own: gym.Space, space: gym.Space) -> bool:
    """Whether a model with observations of `own` predicts on those of an environment.

    Images may be channels first in the one and last in the other, which Stable-Baselines3 transposes itself.
    """
    if isinstance(own, gym.spaces.Dict) and isinstance(space, gym.spaces.Dict):
        return set(own) == set(space) and all(_takes(own[name], space[name]) for name in own)
    if isinstance(own, gym.spaces.Box) and isinstance(space, gym.spaces.Box):
        image = len(space.shape) == 3 and own.dtype == space.dtype == np.uint8
        return own.shape == space.shape or (image and own.shape == (space.shape[2], *space.shape[:2]))
    return bool(own == space)


def _member(package: ModuleType, name: str, base: type) -> type | None:
    classes = (value for member, value in vars(package).items() if member.lower() == name.lower())
    return next((value for value in classes if isinstance(value, type) and issubclass(value, base)), None)
