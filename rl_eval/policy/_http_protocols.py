"""Requests to policy servers and their answers: four forms, recognised by the path of the URL.

- `…/select_action`: `rl-eval serve`. Nothing is recorded there.
- `…/v2/models/<name>/infer`: the Open Inference Protocol (KServe v2), of KServe, Triton, MLServer and `rl-eval serve`.
- `…/invocations`: MLflow's, and SageMaker's.
- any other path: the form that `_http` describes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import OneHot, batch, space_text
from rl_eval.errors import InputError

_INFER = re.compile(r"(.*/v2/models/[^/]+(?:/versions/[^/]+)?)/infer")
_TYPES = {
    "FP32": "f4",
    "FP64": "f8",
    "FP16": "f2",
    "UINT8": "u1",
    "INT8": "i1",
    "INT32": "i4",
    "INT64": "i8",
    "BOOL": "?",
}
_OUTPUTS = ("action", "actions", "probabilities", "logits")


@dataclass(frozen=True)
class Question:
    """What a policy is asked; arrays of N rows.

    Attributes:
        space: of the observations.
        seed: the same in each question.
        draw_seed: another one in each question.
    """

    obs: np.ndarray
    greedy: bool
    seed: int
    episode_start: np.ndarray
    mask: np.ndarray | None
    draw_seed: int = 0
    space: gym.Space | None = None

    @property
    def batch(self) -> Any:
        """The observations in the form of their space, as JSON values."""
        return _json(self.obs if self.space is None else batch(self.space, self.obs))

    @property
    def rows(self) -> np.ndarray:
        """The observations as one array of numbers.

        Raises:
            InputError: they are more than that.
        """
        if self.obs.dtype.hasobject:
            own = "objects" if self.space is None else space_text(self.space)
            raise InputError(f"takes one array, but the observations are {own}")
        return self.obs


@dataclass(frozen=True)
class Answer:
    """What a server answered, unchecked: actions, or logits `[N, A]`.

    Attributes:
        version: of the policy; None if the server says none.
    """

    actions: Any = None
    logits: np.ndarray | None = None
    version: Any = None


class Protocol(ABC):
    """One form of questions and answers; its errors end the sentence `policy <url> …`."""

    @abstractmethod
    def request(self, question: Question) -> dict[str, Any]:
        """The JSON body.

        Raises:
            InputError: the form cannot ask that.
        """

    @abstractmethod
    def read(self, answer: Mapping[str, Any], question: Question) -> Answer:
        """The answer in a JSON object.

        Raises:
            InputError: it is in another form.
        """


class PlainProtocol(Protocol):
    """`{"observations": …}` to `{"actions": …}`."""

    def request(self, question: Question) -> dict[str, Any]:
        """See `_http`."""
        return {
            "observations": question.batch,
            "greedy": question.greedy,
            "seed": question.seed,
            "episode_start": question.episode_start.tolist(),
            **({} if question.mask is None else {"mask": question.mask.tolist()}),
        }

    def read(self, answer: Mapping[str, Any], question: Question) -> Answer:
        """Actions and version."""
        return Answer(_list(answer, "actions", '{"actions": […]}'), version=answer.get("version"))


class ServeProtocol(Protocol):
    """`/select_action` of `rl-eval serve`."""

    def request(self, question: Question) -> dict[str, Any]:
        """A batch that is not recorded, and the seed of its draws."""
        request = {"observation": question.rows.tolist(), "greedy": question.greedy, "record": False}
        request |= {} if question.mask is None else {"mask": question.mask.tolist()}
        return request if question.greedy else {**request, "seed": question.draw_seed}

    def read(self, answer: Mapping[str, Any], question: Question) -> Answer:
        """Actions and version."""
        return Answer(_list(answer, "action", '{"action": […]}'), version=answer.get("policy_version"))


class MLflowProtocol(Protocol):
    """`{"inputs": …}` to `{"predictions": …}`: actions, or outputs by name as MLflow's ONNX models have them."""

    def request(self, question: Question) -> dict[str, Any]:
        """A tensor of observations, or one for each key of a Dict."""
        return {"inputs": question.batch}

    def read(self, answer: Mapping[str, Any], question: Question) -> Answer:
        """Actions, or logits where they are needed."""
        predictions = answer.get("predictions")
        named = predictions if isinstance(predictions, dict) else {"action": predictions}
        if not all(isinstance(values, list) for values in named.values()):
            raise InputError('answered without a list of actions: answer {"predictions": […]}')
        return _from_outputs({name: _rows(values) for name, values in named.items()}, question, None)


class InferProtocol(Protocol):
    """The Open Inference Protocol: one tensor of observations; `action`, `probabilities` or `logits` out.

    Where the server has probabilities or logits, actions are drawn here, and illegal ones are left out.

    Args:
        metadata: asks for the model's metadata; None if the server has none.
    """

    def __init__(self, metadata: Callable[[], Mapping[str, Any] | None]):
        self._metadata_of = metadata
        self._metadata: Mapping[str, Any] | None = None

    def request(self, question: Question) -> dict[str, Any]:
        """One input by the name, and of the type, that the model's metadata says."""
        if self._metadata is None:
            self._metadata = self._metadata_of() or {}
        inputs = self._metadata.get("inputs")
        described = [each for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
        if isinstance(question.space, gym.spaces.Dict):
            by_name = {each.get("name"): each for each in described}
            parts = batch(question.space, question.obs)
            tensors = [_input_tensor(name, part, by_name.get(name, {})) for name, part in parts.items()]
        else:
            first = described[0] if described else {}
            shape = first.get("shape")
            values = question.rows
            if isinstance(question.space, OneHot) and not (isinstance(shape, list) and shape[1:] == [values.shape[1]]):
                values = batch(question.space, values)  # the numbers themselves
                values = values[:, None] if isinstance(shape, list) and shape[1:] == [1] else values
            tensors = [_input_tensor(str(first.get("name", "observations"))[:200], values, first)]
        return {"inputs": tensors, "parameters": {"greedy": question.greedy}}

    def read(self, answer: Mapping[str, Any], question: Question) -> Answer:
        """Actions where they are all that is needed, else logits; and the version."""
        tensors = answer.get("outputs")
        named = [each for each in tensors if isinstance(each, dict)] if isinstance(tensors, list) else []
        outputs = {str(each.get("name")): _tensor(each) for each in named}
        return _from_outputs(outputs, question, answer.get("model_version"))


def protocol_of(path: str, metadata: Callable[[str], Mapping[str, Any] | None]) -> Protocol:
    """The form for the path of a URL.

    Args:
        metadata: the JSON object at another path of the server; None if there is none.
    """
    if match := _INFER.fullmatch(path):
        model = match[1]
        return InferProtocol(lambda: metadata(model))
    if path.endswith("/invocations"):
        return MLflowProtocol()
    return ServeProtocol() if path.endswith("/select_action") else PlainProtocol()


def _from_outputs(outputs: Mapping[str, np.ndarray], question: Question, version: Any) -> Answer:
    """The actions among named outputs, or the logits where actions are drawn or restricted here.

    Raises:
        InputError: there is nothing that the question asks for.
    """
    chosen_here = not question.greedy or question.mask is not None
    for name in ("logits", "probabilities"):
        if name in outputs and (chosen_here or "action" not in outputs):
            return Answer(logits=_logits(outputs[name], name, question.mask), version=version)
    if chosen_here:
        asked = "drawn" if not question.greedy else "restricted to legal ones"
        raise InputError(f"answers with no probabilities or logits, so its actions cannot be {asked}")
    names = [name for name in ("action", "actions") if name in outputs] or list(outputs)
    if len(names) != 1 and names[:1] != ["action"]:
        raise InputError(f"answered without one of the outputs {', '.join(_OUTPUTS)}: use these names")
    return Answer(outputs[names[0]].tolist(), version=version)


def _input_tensor(name: str, values: Any, described: Mapping[str, Any]) -> dict[str, Any]:
    """One input in the type that the metadata says, else FP32.

    Raises:
        InputError: it is not an array of numbers.
    """
    if not isinstance(values, np.ndarray):
        raise InputError(f"takes tensors, and the observation {name!r} is none")
    datatype = described.get("datatype")
    datatype = datatype if isinstance(datatype, str) and datatype in _TYPES else "FP32"
    array = values.astype(_TYPES[datatype])
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": array.ravel().tolist()}


def _json(values: Any) -> Any:
    """A batch as JSON values."""
    if isinstance(values, Mapping):
        return {str(name): _json(part) for name, part in values.items()}
    if isinstance(values, tuple | list):
        return [_json(part) for part in values]
    return values.tolist() if isinstance(values, np.ndarray | np.generic) else values


def _rows(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise InputError("answered with rows of different lengths") from error


def _list(answer: Mapping[str, Any], key: str, form: str) -> Any:
    if not isinstance(answer.get(key), list | dict):
        raise InputError(f"answered without a list of actions: answer {form}")
    return answer[key]


def _tensor(output: Mapping[str, Any]) -> np.ndarray:
    """The numbers of an output tensor, in its shape."""
    try:
        shape = [int(size) for size in output["shape"]]
        return np.asarray(output["data"]).reshape(shape)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError("answered with an output whose data does not have its shape") from error


def _logits(values: np.ndarray, name: str, mask: np.ndarray | None) -> np.ndarray:
    """Logits `[N, A]`."""
    valid = values.dtype.kind in "iuf" and values.ndim == 2 and not np.isnan(values).any()
    if not valid or (name == "probabilities" and (values < 0).any()):
        raise InputError(f"answered with {name} that are not rows of numbers")
    with np.errstate(divide="ignore"):
        logits = values.astype(np.float64) if name == "logits" else np.log(values.astype(np.float64))
    if mask is not None and mask.shape != logits.shape:
        raise InputError(f"answered with {name} of shape {logits.shape}: the environment has {mask.shape}")
    return logits
