"""What the outputs of a graph hold: by their names, by the names of converters, or by their shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gymnasium as gym

from rl_eval.envs.space_values import has_arrays, space_text
from rl_eval.errors import InputError
from rl_eval.policy._onnx_process import Tensor
from rl_eval.policy._policy import Spaces

_NAMES = ("action", "logits", "probabilities", "mean", "log_std")
# Of skl2onnx, for classifiers.
_LABELS, _SHARES = ("label", "output_label"), ("probabilities", "output_probability")


@dataclass(frozen=True)
class GraphOutputs:
    """The outputs of a graph that are used.

    Attributes:
        names: `action`, `logits`, `probabilities`, `mean` or `log_std` -> its name in the graph.
        clipped: whether the action must be moved into its Box, as Stable-Baselines3 does after its policy.
    """

    names: Mapping[str, str]
    clipped: bool = False


def graph_outputs(all_outputs: Sequence[Tensor], memory: Sequence[str], spec: str, spaces: Spaces) -> GraphOutputs:
    """What the outputs of a graph hold, `memory` left out.

    Raises:
        InputError: none is an action, or what actions are chosen by.
    """
    outputs = {output.name: output for output in all_outputs if output.name not in memory}
    action = spaces.action
    discrete = isinstance(action, gym.spaces.Discrete)
    if not has_arrays(action):
        raise InputError(f"policy {spec!r} returns tensors, but the actions of {spaces.title} are {space_text(action)}")
    found = _of_stable_baselines3(outputs) or _of_a_classifier(outputs, spec, spaces)
    if found is not None:
        return found
    other_kind = ("mean", "log_std") if discrete else ("logits", "probabilities")
    names = {name: name for name in _NAMES if name in outputs and name not in other_kind}
    if "actions" in outputs and "action" not in names:
        names["action"] = "actions"
    if not names and len(outputs) == 1:
        ((name, output),) = outputs.items()
        is_box = isinstance(action, gym.spaces.Box)
        kind = "action" if "int" in output.type else "logits" if discrete else "mean" if is_box else None
        names = {kind: name} if kind else {}
    if not names or names.keys() == {"log_std"}:
        expected = "action, logits or probabilities" if discrete else "action"
        expected += ", or mean and log_std" if isinstance(action, gym.spaces.Box) else ""
        raise InputError(
            f"policy {spec!r} has the outputs {', '.join(outputs)}: name one of them {expected}, for {spaces.title}"
        )
    for meaning in ("logits", "probabilities"):
        last = (outputs[names[meaning]].shape or [None])[-1] if meaning in names else None
        if isinstance(last, int) and last != action.n:  # type: ignore[attr-defined]
            raise InputError(
                f"policy {spec!r} chooses between {last} actions, but {spaces.title} has "
                f"{action.n}: name a policy of {spaces.title}"  # type: ignore[attr-defined]
            )
    return GraphOutputs(names)


def _of_stable_baselines3(outputs: Mapping[str, Tensor]) -> GraphOutputs | None:
    """The actions, where values `[N, 1]` and log-probabilities `[N]` follow, as Stable-Baselines3's guide exports."""
    if len(outputs) != 3 or any(name in _NAMES for name in outputs):
        return None
    (action, value, log_prob) = outputs.values()
    named = [*outputs] == ["actions", "values", "log_prob"]
    shaped = len(value.shape) == 2 and value.shape[1] == 1 and len(log_prob.shape) == 1
    floats = "float" in value.type and "float" in log_prob.type
    return GraphOutputs({"action": action.name}, clipped=True) if named or (shaped and floats) else None


def _of_a_classifier(outputs: Mapping[str, Tensor], spec: str, spaces: Spaces) -> GraphOutputs | None:
    """The label of a classifier that skl2onnx converted, and its probabilities if there is one for each action."""
    label = next((outputs[name] for name in _LABELS if name in outputs), None)
    if label is None:
        return None
    if "int" not in label.type:
        raise InputError(
            f"policy {spec!r} returns labels of the type {label.type}: train the classifier on the numbers of actions"
        )
    names = {"action": label.name}
    shares = next((outputs[name] for name in _SHARES if name in outputs), None)
    action = spaces.action
    if shares is not None and isinstance(action, gym.spaces.Discrete) and tuple(shares.shape[1:]) == (action.n,):
        names["probabilities"] = shares.name
    return GraphOutputs(names)
