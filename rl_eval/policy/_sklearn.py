"""`sklearn:<file>`: a classifier or regressor of scikit-learn, saved with skops, or with joblib or pickle.

It gets one observation per call, as a row of numbers: the last bits of some models depend on the size of the batch. The
labels of a classifier are actions; a regressor predicts those of a Box.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import batch, has_arrays, space_text
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.formatting import short_path
from rl_eval.policy._actions import actions_from, checked_actions, legal_where_not
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._randomness import OwnRandomness
from rl_eval.policy._source import Source
from rl_eval.untrusted_files import only_regular

MAX_BYTES = 256 << 20  # of a file of skops, unpacked


class SklearnPolicy:
    """A model with `predict`; with `predict_proba` it has `probabilities` of Discrete actions."""

    def __init__(self, model: Any, spec: str, spaces: Spaces, seed: int):
        self._model, self._spec, self._spaces = model, spec, spaces
        self._randomness, self._rng = OwnRandomness(seed), np.random.default_rng(seed)

    @property
    def probabilities(self) -> Callable[[np.ndarray], np.ndarray]:
        """`probabilities(obs) -> [N, A]`, where the model has them."""
        if not isinstance(self._spaces.action, gym.spaces.Discrete) or not hasattr(self._model, "predict_proba"):
            raise AttributeError(f"policy {self._spec!r} has no probabilities")
        return self._probabilities

    def act(self, obs: np.ndarray, greedy: bool, mask: np.ndarray | None = None) -> np.ndarray:
        """Actions `[N, …]`: what the model predicts when greedy, else draws; with probabilities only legal ones.

        Raises:
            InputError: the model fails, predicts no action, or cannot be sampled.
        """
        action = self._spaces.action
        if not greedy:
            if not hasattr(self, "probabilities"):
                raise InputError(
                    f"policy {self._spec!r} has no predict_proba for {space_text(action)}, so it cannot be sampled: "
                    "judge it with `policy: greedy`"
                )
            return actions_from(self._logits(obs), np.zeros(()), action, self._rng, mask)
        answers = self._each_row(self._model.predict, obs)
        size = int(np.prod(action.shape or ()))
        if answers.size == len(obs) * size:  # one target is predicted without a dimension
            answers = answers.reshape(len(obs), *(action.shape or ()))
        actions = checked_actions(answers, len(obs), action, self._spec)
        if mask is not None and isinstance(action, gym.spaces.Discrete) and hasattr(self, "probabilities"):
            return legal_where_not(actions, self._logits(obs), action, mask)
        return actions

    def _logits(self, obs: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self._probabilities(obs))

    def _probabilities(self, obs: np.ndarray) -> np.ndarray:
        """Action probabilities `[N, A]`; actions that the model has not seen have none."""
        shares = self._each_row(self._model.predict_proba, obs)
        action: Any = self._spaces.action
        probabilities = np.zeros((len(obs), int(action.n)))
        labels = checked_actions(self._model.classes_, len(self._model.classes_), action, self._spec)
        probabilities[:, labels - action.start] = shares
        return probabilities

    def _each_row(self, predict: Callable[[np.ndarray], Any], obs: np.ndarray) -> np.ndarray:
        rows = batch(self._spaces.observation, obs).reshape(len(obs), 1, -1)
        try:
            with self._randomness:
                return np.concatenate([np.asarray(predict(row)) for row in rows])
        except Exception as error:  # code of anyone
            line = " ".join(str(error).split())[:300]
            raise InputError(f"policy {self._spec!r} failed on an observation: {line}") from error


class SklearnSource(Source):
    """A model of scikit-learn. skops needs no trust; joblib and pickle do."""

    prefix = "sklearn"
    usage = "sklearn:<file>"
    acts_alone = True
    files: ClassVar[Mapping[str, str]] = dict.fromkeys((".skops", ".joblib", ".pkl", ".pickle"), "sklearn:{file}")

    def needs_trust(self, rest: str) -> str | None:
        """For any file that is not of skops."""
        return None if rest.endswith(".skops") else "is a pickle, which can run code when it is read"

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The model.

        Raises:
            InputError: the file is missing or damaged or no such model, scikit-learn is not installed, or the spaces
                are not arrays.
        """
        if not Path(rest).is_file():
            raise InputError(f"policy {spec!r}: the file {rest} does not exist")
        if not has_arrays(spaces.observation) or not has_arrays(spaces.action):
            raise InputError(
                f"policy {spec!r} takes rows of numbers and returns numbers, but {spaces.title} has "
                f"{space_text(spaces.observation)} and {space_text(spaces.action)}: `env.wrappers: "
                "[FlattenObservation]` makes rows of many"
            )
        with imports_of_extra("sklearn", f"policy {spec!r}"):
            import joblib
            import sklearn  # noqa: F401 - its absence is named first
            import skops.io
        if rest.endswith(".skops"):
            _require_bounded(Path(rest), spec)
        try:
            model = skops.io.load(rest) if rest.endswith(".skops") else joblib.load(rest)
        except Exception as error:  # damaged bytes raise anything
            line = " ".join(str(error).split())[:300]
            raise InputError(f"policy {spec!r} cannot be read: {line}") from error
        if not callable(getattr(model, "predict", None)):
            raise InputError(f"policy {spec!r} holds {type(model).__name__}, which has no predict")
        expected, size = getattr(model, "n_features_in_", None), gym.spaces.flatdim(_numbers(spaces.observation))
        if expected is not None and expected != size:
            raise InputError(
                f"policy {spec!r} takes {expected} features, but {spaces.title} has {size}: name a model of "
                f"{spaces.title}"
            )
        return SklearnPolicy(model, spec, spaces, seed)

    def identity(self, rest: str) -> str | None:
        """A hash of the bytes of the file."""
        return digest(self.prefix, Path(rest))

    def is_cacheable(self, rest: str) -> bool:
        """Whether it is of skops, whose files name only classes of installed packages."""
        return rest.endswith(".skops")

    def canonical(self, rest: str) -> str:
        """The file."""
        return str(short_path(rest)) if rest else rest


def _numbers(observation: gym.Space) -> gym.Space:
    """The row that a model gets: a Discrete observation is one number, a MultiDiscrete one its numbers."""
    rows = batch(observation, np.zeros((1, *(observation.shape or ())), observation.dtype))
    return gym.spaces.Box(-np.inf, np.inf, (rows.size,))


def _require_bounded(file: Path, spec: str) -> None:
    """Refuse an archive whose entries are together too large; no more than these sizes is ever unpacked.

    Raises:
        InputError: it is too large, or no archive.
    """
    try:
        with open(file, "rb", opener=only_regular) as opened, zipfile.ZipFile(opened) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise InputError(f"policy {spec!r} cannot be read: {error}") from error
    if size > MAX_BYTES:
        raise InputError(
            f"policy {spec!r}: {file} is {size >> 20:,} MiB when unpacked, and the limit is {MAX_BYTES >> 20} MiB: "
            "export a smaller model, or use ONNX"
        )
