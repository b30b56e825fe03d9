"""`sb3:<algo>:<zip>[+<vecnormalize.pkl>]`: models of Stable-Baselines3 and sb3-contrib, which are pickles."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.formatting import short_path
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces, starts
from rl_eval.policy._randomness import OwnRandomness
from rl_eval.policy._sb3_pickles import names_installed_code_alone
from rl_eval.policy._source import Source


class StableBaselines3Policy:
    """A Stable-Baselines3 model, with the statistics of its VecNormalize if there are any.

    It predicts one observation a call: the last bits of a row depend on the size of its batch.
    """

    def __init__(self, model: Any, normalize: Any | None, seed: int):
        self._model, self._normalize, self._randomness = model, normalize, OwnRandomness(seed)
        self._takes_mask = "action_masks" in inspect.signature(model.predict).parameters
        self._memory: list[Any] = []  # of each copy, None before its first call

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """The model's prediction on (normalised) observations; recurrent ones remember until an episode starts."""
        start = starts(episode_start, len(obs))
        if start.all():
            self._memory = [None] * len(obs)
        if self._normalize is not None:
            obs = self._normalize.normalize_obs(obs)
        with self._randomness:
            return np.concatenate([self._one_action(obs, greedy, mask, start, row) for row in range(len(obs))])

    def _one_action(
        self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None, start: np.ndarray, row: int
    ) -> np.ndarray:
        one = slice(row, row + 1)
        action, self._memory[row] = self._model.predict(
            obs[one],
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
        zip_file, statistics = _zip_and_statistics(files)
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
        if model.observation_space.shape != spaces.observation.shape or model.action_space != spaces.action:
            raise InputError(
                f"policy {spec!r} maps {model.observation_space} to {model.action_space}, "
                f"but {spaces.env} has {spaces.observation} and {spaces.action}: name a model of {spaces.env}"
            )
        model.action_space.seed(seed)  # exploring models draw from it
        return StableBaselines3Policy(model, normalize, seed)

    def identity(self, rest: str) -> str | None:
        """A hash of the algorithm and the bytes of its files."""
        algo, _, files = rest.partition(":")
        return digest(self.prefix, algo.lower(), *(Path(file) for file in filter(None, _zip_and_statistics(files))))

    def is_cacheable(self, rest: str) -> bool:
        """Whether its pickles name only code of installed packages; they are scanned, not loaded."""
        model, statistics = _zip_and_statistics(rest.partition(":")[2])
        return names_installed_code_alone(Path(model), Path(statistics) if statistics else None)

    def canonical(self, rest: str) -> str:
        """The algorithm in lower case, and the files."""
        algo, _, files = rest.partition(":")
        return f"{algo.lower()}:{'+'.join(str(short_path(file)) for file in filter(None, _zip_and_statistics(files)))}"


def _algorithm(name: str, spec: str, base: type) -> Any:
    """The class of an algorithm, whatever the case of its name; `base` is what all of them are.

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


def _member(package: ModuleType, name: str, base: type) -> type | None:
    classes = (value for member, value in vars(package).items() if member.lower() == name.lower())
    return next((value for value in classes if isinstance(value, type) and issubclass(value, base)), None)


def _zip_and_statistics(files: str) -> tuple[str, str]:
    """`<zip>+<statistics>` in its two parts, the second empty if there is none; both paths may hold a `+`.

    As in Stable-Baselines3 itself, `.zip` at the end may be left out.
    """
    splits = [(files[:index], files[index + 1 :]) for index, character in enumerate(files) if character == "+"]
    for name, statistics in [(files, ""), *splits]:
        for zip_file in (name, f"{name}.zip"):
            if Path(zip_file).is_file() and (not statistics or Path(statistics).is_file()):
                return zip_file, statistics
    # one of them does not exist: the message names it
    return next(
        (split for split in splits if Path(split[0]).is_file() or split[0].endswith(".zip")),
        (files, ""),
    )
