"""Bodies of requests and answers: pydantic models with bounds, and JSON numbers read as arrays.

The lists of numbers, which are nearly all of a body, are parsed by pydantic's JSON parser and checked as one array: a
model of a million floats would check each by itself.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, ValidationError, WithJsonSchema

from rl_eval.errors import InputError
from rl_eval.validation_errors import value_sentence

MAX_BODY = 8 << 20  # bytes
MAX_BATCH = 4096  # rows
MAX_TEXT = 256 << 10  # characters of a prompt; a domain may take fewer
MAX_NAME = 200  # characters of a unit or task
MAX_APPLIED = 1_000  # actions that made a prompt
MAX_SEED = 2**53 - 1  # what JSON numbers hold in every language
LARGEST = 1e12  # of a reward
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"  # of a checkpoint: nothing that a path could be made of
DECISION_ID = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}"


class RefusedError(InputError):
    """A request that is answered with a status of 400 to 499 and one sentence."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


def numbers(value: Any) -> np.ndarray:
    """Nested lists of finite numbers as float32, at least `[1]`.

    Raises:
        ValueError: says in a few words what is wrong.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of numbers")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:  # rows of different lengths, or nested too deep
        raise ValueError("must be a list of numbers, or of rows of equal length") from error
    if array.dtype.kind not in "iuf" or array.size == 0 or _has_flags(value, array.ndim):
        raise ValueError("must be a list of numbers, or of rows of equal length")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError("must be finite numbers, none beyond the range of 32-bit floats")
    return array


def _has_flags(value: list[Any], depth: int) -> bool:
    """Whether true or false, which NumPy takes as 1 and 0, is in lists nested `depth` deep."""
    if depth > 1:
        return any(_has_flags(row, depth - 1) for row in value)
    return bool in set(map(type, value))


def flags(value: Any) -> np.ndarray:
    """A list of true and false, or of rows of them, as bool.

    Raises:
        ValueError: it is something else.
    """
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a list of true and false, or of rows of equal length") from error
    if not isinstance(value, list) or array.dtype != bool or array.ndim > 2 or array.size == 0:
        raise ValueError("must be a list of true and false, or of rows of equal length")
    return array


def _nested(item: str) -> dict[str, Any]:
    row = {"type": "array", "items": {"type": item}, "minItems": 1}
    return {"anyOf": [row, {"type": "array", "items": row, "minItems": 1, "maxItems": MAX_BATCH}]}


def _action(value: Any) -> np.ndarray:
    """A whole number, or a list of numbers, as an array without batch dimension.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return np.asarray(value)
    if not isinstance(value, list):
        raise ValueError("must be a whole number, or a list of numbers")
    return numbers(value)


_NUMBER_LIST = {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "number"}}]}
Numbers = Annotated[np.ndarray, PlainValidator(numbers), WithJsonSchema(_nested("number"))]
Flags = Annotated[np.ndarray, PlainValidator(flags), WithJsonSchema(_nested("boolean"))]
Action = Annotated[np.ndarray, PlainValidator(_action), WithJsonSchema(_NUMBER_LIST)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
Units = Unit | Annotated[list[Unit], Field(max_length=MAX_BATCH)]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
DecisionId = Annotated[str, StringConstraints(pattern=f"^{DECISION_ID}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Task = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
Applied = Annotated[list[int], Field(max_length=MAX_APPLIED)]
Encoder = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Reward = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


class Body(BaseModel):
    """A request body: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, frozen=True)


class Observed(Body):
    """One observation `[D]`, or a batch `[N, D]`: `observation`, `embedding` or `prompt`, or the last two together."""

    observation: Numbers | None = Field(None, description="As in the environment of training.")
    embedding: Numbers | None = Field(
        None, description="Embedding [W] of a text by the encoder of the run, or rows of it."
    )
    encoder: Encoder | None = Field(
        None, description="Identity of the encoder, as in /health; another one is status 409."
    )
    prompt: Text | None = Field(None, description="A text, if the domain of the run can read texts.")
    task: Task | None = Field(None, description="Name of the task of the prompt.")
    applied: Applied | None = Field(
        None, description="Actions that turned the first prompt of the episode into this one."
    )
    mask: Flags | None = Field(None, description="Which actions are legal: one flag for each action, or rows of flags.")


class SelectActionBody(Observed):
    """What `POST /select_action` takes."""

    greedy: bool = Field(
        False,
        description="true: the most likely action; false: a drawn action. PPO and A2C learn only from drawn actions.",
    )
    seed: Seed | None = Field(
        None, description="Seed of the drawn actions: equal requests get equal actions from a version."
    )
    unit: Units | None = Field(
        None, description="Whom the decision is about, one for each row; decisions of a unit are one stream of steps."
    )
    record: bool = Field(True, description="Whether the decision is stored; if not, it has no decision_id.")


class DistributionBody(Observed):
    """What `POST /get_distribution` takes."""


class StoreExperienceBody(Body):
    """What followed a decision of this server; or a whole transition, with its own observation and action."""

    decision_id: DecisionId | None = Field(
        None, description="From /select_action; for a whole transition, an id of your choice."
    )
    reward: Reward
    done: bool = Field(description="Whether the episode ended.")
    truncated: bool = Field(False, description="With done: whether the episode was only cut off.")
    next_observation: Numbers | None = Field(
        None, description="[D]; optional if the episode ended, or if the decision has a unit."
    )
    next_embedding: Numbers | None = Field(None, description="[W] of the next text, with `encoder`.")
    encoder: Encoder | None = Field(None, description="Identity of the encoder of next_embedding.")
    next_prompt: Text | None = Field(None, description="The next text.")
    next_task: Task | None = Field(None, description="The task of the next text.")
    next_applied: Applied | None = Field(
        None, description="Actions that turned the first prompt of the episode into the next text."
    )
    next_mask: Flags | None = Field(None, description="Which actions are legal next.")
    observation: Numbers | None = Field(None, description="[D], for a whole transition.")
    action: Action | None = Field(None, description="For a whole transition, as the environment takes it.")
    mask: Flags | None = None
    unit: Unit | None = None
    policy_version: str | None = Field(
        None, max_length=100, description="For a whole transition: the version that drew the action."
    )


class UpdateBody(Body):
    """What `POST /update` takes: nothing."""


class NameBody(Body):
    """The name of a checkpoint in the server's own folder."""

    name: Name


class SelectActionAnswer(BaseModel):
    """A decision, or lists of them for a batch."""

    action: int | list[int] | list[float] | list[list[float]]
    probability: float | list[float] | None = Field(description="Of choosing this action; 1 with greedy.")
    confidence: float | list[float] | None = Field(
        description="Largest probability of any action; null for DQN and continuous actions."
    )
    value: float | list[float] | None = Field(
        description="Expected discounted return, in the training reward; null for ONNX files."
    )
    decision_id: str | list[str] | None = Field(
        description="For /store_experience; null if the decision was not recorded."
    )
    policy_version: str = Field(description="A hash of the weights.")
    encoder: str | None = Field(None, description="Identity of what embedded the text.")


class DistributionAnswer(BaseModel):
    """Probabilities of all actions; of continuous ones mean and standard deviation."""

    probabilities: list[float] | list[list[float]] | None
    mean: list[float] | list[list[float]] | None = None
    std: list[float] | list[list[float]] | None = None
    action_values: list[float] | list[list[float]] | None = None
    actions: list[str]
    policy_version: str


class StoreExperienceAnswer(BaseModel):
    """The experience is on disk."""

    decision_id: str
    stored: bool


class UpdateAnswer(BaseModel):
    """The losses, or how many transitions are missing."""

    updated: bool
    policy_version: str
    transitions: int = Field(description="Transitions that were used, or that are there.")
    needed: int = Field(description="Transitions that are missing; 0 after an update.")
    losses: dict[str, float]


class CheckpointAnswer(BaseModel):
    """A checkpoint of the server's own folder."""

    name: str
    policy_version: str


class HealthAnswer(BaseModel):
    """What is served."""

    status: str
    policy_version: str
    policy: str
    env: str
    agent: str | None
    learns: bool
    uptime_s: float
    observation_shape: list[int]
    actions: int | None
    action_names: list[str]
    encoder: str | None


class StatsAnswer(BaseModel):
    """What the folder keeps, also after a restart; `uptime_s`, `requests` and `buffer_fill` are of this process."""

    policy_version: str
    uptime_s: float
    decisions: int = Field(description="Decisions in the store, at most --keep.")
    experiences: int
    waiting: int = Field(description="Transitions that no update has used.")
    episodes: int = Field(description="Finished episodes of units in the store.")
    mean_return: float | None = Field(description="Of the latest 100 episodes of units.")
    mean_reward: float | None
    updates: int = Field(description="Since the folder began.")
    loads: int = Field(description="Since the folder began.")
    last_update: float | None = Field(description="Seconds since 1970.")
    losses: dict[str, float]
    versions: list[str] = Field(description="The latest 100 versions, the current one last.")
    requests: dict[str, int]
    buffer_fill: float | None = Field(description="Share of DQN's replay buffer that is filled.")


class ErrorAnswer(BaseModel):
    """Why a request was refused, in one sentence."""

    detail: str


Parsed = TypeVar("Parsed", bound=Body)
_ALLOWED = {
    "name": "use up to 64 letters, digits, - and _, and begin with a letter or digit",
    "decision_id": "use up to 100 letters, digits and . _ : -, and begin with a letter or digit",
}


def parse(model: type[Parsed], body: bytes) -> Parsed:
    """A checked body; an empty one is that of an empty object.

    Raises:
        RefusedError: 422, with the first key that is wrong.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            key = ""
        if first["type"] in ("model_type", "json_invalid"):
            raise RefusedError(422, f"the body is not a JSON object ({_brief(first['msg'])})") from error
        if first["type"] == "string_pattern_mismatch":
            name = _brief(repr(first["input"]))
            raise RefusedError(422, f"{key}={name} is not valid: {_ALLOWED[key]}") from error
        sentence = _brief(value_sentence(first, list(model.model_fields)))
        separator = " " if sentence.startswith(("must be", "is ")) else ": "
        raise RefusedError(422, f"{key}{separator}{sentence}" if key else sentence) from error
    except RecursionError as error:
        raise RefusedError(422, "the body is nested too deep") from error


def _brief(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:297]}..."
