"""Other servers' forms of the same question: the Open Inference Protocol (KServe v2) and MLflow's `/invocations`.

Both are greedy unless they ask otherwise, and record nothing: they have no place for what followed.
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from rl_eval.serving.bodies import MAX_BATCH, Body, RefusedError, Seed, flags, numbers, parse
from rl_eval.serving.requests import Observation, SelectRequest, legal_actions, shaped
from rl_eval.serving.routes import REFUSALS, json_answer, post, server_of
from rl_eval.serving.served_policy import Decisions, ServedPolicy
from rl_eval.serving.server import PolicyServer

OBSERVATIONS, MASK = "observations", "action_mask"
# NumPy's types of the protocol's numbers.
_NUMBER_TYPES = {
    **{f"FP{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
}
router = APIRouter(responses=REFUSALS)


def _list(value: Any) -> list[Any]:
    """A list; raises ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError("must be a list")
    return value


_ANY_LIST = {"type": "array", "items": {}}
AnyList = Annotated[list[Any], PlainValidator(_list), WithJsonSchema(_ANY_LIST)]


class _Foreign(Body):
    """A body of another protocol: keys that we do not know may be there."""

    model_config = ConfigDict(extra="ignore", strict=True, arbitrary_types_allowed=True, frozen=True)


class InferTensor(_Foreign):
    """An input tensor; `data` is flat in row-major order, or nested."""

    name: str = Field(max_length=200)
    shape: Annotated[list[Annotated[int, Field(ge=0, le=1 << 24)]], Field(min_length=1, max_length=16)]
    datatype: str = Field(max_length=10)
    data: AnyList


class InferOutput(_Foreign):
    """The name of an output that is asked for."""

    name: str = Field(max_length=200)


class InferParameters(_Foreign):
    """Parameters of ours."""

    greedy: bool = True
    seed: Seed | None = None


class InferBody(_Foreign):
    """A request of the Open Inference Protocol."""

    id: str | None = Field(None, max_length=200)
    parameters: InferParameters = InferParameters()
    inputs: Annotated[list[InferTensor], Field(min_length=1, max_length=2)]
    outputs: Annotated[list[InferOutput], Field(max_length=10)] | None = None


class InferAnswerTensor(BaseModel):
    """An output tensor, its data flat in row-major order."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float] | list[int]


class InferAnswer(BaseModel):
    """An answer of the Open Inference Protocol."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[InferAnswerTensor]


class DataframeSplit(_Foreign):
    """A table as MLflow sends it; a column is one number of the observation, in order."""

    columns: AnyList = []
    data: AnyList


class InvocationParams(_Foreign):
    """Parameters of ours."""

    greedy: bool = True
    seed: Seed | None = None


class InvocationsBody(_Foreign):
    """A request to an MLflow model: exactly one of `inputs`, `instances` and `dataframe_split`."""

    inputs: AnyList | None = None
    instances: AnyList | None = None
    dataframe_split: DataframeSplit | None = None
    params: InvocationParams = InvocationParams()


class InvocationsAnswer(BaseModel):
    """The actions."""

    predictions: list[int] | list[float] | list[list[float]]


BODIES: list[type[Body]] = [InferBody, InvocationsBody]


async def _decide(
    server: PolicyServer, observation: Observation, parameters: InferParameters | InvocationParams
) -> tuple[Decisions, str]:
    asked = SelectRequest(observation, parameters.greedy, None, record=False, seed=parameters.seed)
    decided, _, version = await server.select(asked)
    return decided, version


def _array(data: list[Any], read: Any, name: str) -> np.ndarray:
    try:
        return read(data)
    except ValueError as error:
        raise RefusedError(422, f"{name} {error}") from error


@post("/invocations", InvocationsBody, InvocationsAnswer, router)
async def invocations(request: Request) -> Response:
    """Greedy actions for rows of observations, in MLflow's form."""
    server, body = server_of(request), parse(InvocationsBody, await request.body())
    table = None if body.dataframe_split is None else body.dataframe_split.data
    inputs = [
        (name, rows) for name, rows in (("inputs", body.inputs), ("instances", body.instances)) if rows is not None
    ]
    inputs += [] if table is None else [("dataframe_split", table)]
    if len(inputs) != 1:
        raise RefusedError(422, f"give one of inputs, instances and dataframe_split, not {len(inputs)} of them")
    name, data = inputs[0]
    if any(isinstance(value, str) for row in data for value in (row if isinstance(row, list) else [row])):
        raise RefusedError(
            422, f"{name} has texts, which this form does not support: send each as prompt to /select_action"
        )
    rows, single = shaped(_array(data, numbers, name), server.policy.spaces.observation.shape or (), name)
    decided, _ = await _decide(server, Observation(rows, None, single), body.params)
    return json_answer({"predictions": decided.actions.tolist()})


@router.get("/ping")
async def ping(request: Request) -> Response:
    """200 once a policy is loaded, for MLflow's and SageMaker's probes."""
    server_of(request)
    return json_answer({})


@router.get("/v2")
async def server_metadata(request: Request) -> Response:
    """Name and version of the server."""
    return json_answer({"name": "rl_eval", "version": request.app.version, "extensions": []})


@router.get("/v2/health/live")
async def live(request: Request) -> Response:
    """Whether the server answers."""
    return json_answer({"live": True})


@router.get("/v2/health/ready")
async def ready(request: Request) -> Response:
    """Whether a policy is loaded."""
    server_of(request)
    return json_answer({"ready": True})


def _model(request: Request, name: str, version: str | None = None) -> PolicyServer:
    server = server_of(request)
    if name != server.source.name:
        raise RefusedError(404, f"there is no model {name[:100]!r}: this server has {server.source.name}")
    if version is not None and version != server.policy.version:
        raise RefusedError(404, f"version {version[:100]!r} is not served: it is {server.policy.version}")
    return server


@router.get("/v2/models/{name}")
@router.get("/v2/models/{name}/versions/{version}", include_in_schema=False)
async def model_metadata(request: Request, name: str, version: str | None = None) -> Response:
    """Inputs, outputs and version of the policy."""
    policy = (server := _model(request, name, version)).policy
    inputs = [{"name": OBSERVATIONS, "datatype": "FP32", "shape": [-1, *(policy.spaces.observation.shape or ())]}]
    outputs = [
        {"name": name, "datatype": datatype, "shape": [-1, *shape]}
        for name, (datatype, shape) in _outputs_of(policy).items()
    ]
    return json_answer(
        {
            "name": server.source.name, "versions": [policy.version], "platform": "rl_eval", "inputs": inputs,
            "outputs": outputs,
        }
    )  # fmt: skip


def _outputs_of(policy: ServedPolicy) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The name of each output, its datatype and the shape of a row."""
    action = policy.spaces.action
    datatype = "INT64" if policy.actions is not None else "FP64" if action.dtype == np.float64 else "FP32"
    outputs = {"action": (datatype, tuple(action.shape or ()))}
    if policy.actions is not None:
        outputs["probabilities"] = ("FP64", (policy.actions,))
    return {**outputs, "value": ("FP32", ())}


@router.get("/v2/models/{name}/ready")
@router.get("/v2/models/{name}/versions/{version}/ready", include_in_schema=False)
async def model_ready(request: Request, name: str, version: str | None = None) -> Response:
    """Whether the policy is served."""
    server = _model(request, name, version)
    return json_answer({"name": server.source.name, "ready": True})


@post("/v2/models/{name}/infer", InferBody, InferAnswer, router)
async def infer(request: Request, name: str) -> Response:
    """Actions, with probabilities and values where the policy has them, in the Open Inference Protocol."""
    return await _infer(request, name, None)


@router.post("/v2/models/{name}/versions/{version}/infer", include_in_schema=False)
async def infer_version(request: Request, name: str, version: str) -> Response:
    """The same of a named version, which must be the one that is served."""
    return await _infer(request, name, version)


async def _infer(request: Request, name: str, version: str | None) -> Response:
    server, body = _model(request, name, version), parse(InferBody, await request.body())
    policy, declared = server.policy, _outputs_of(server.policy)
    asked = [output.name for output in body.outputs or ()] or list(declared)
    if unknown := [name for name in asked if name not in declared]:
        raise RefusedError(422, f"there is no output {unknown[0]!r}: this policy has {', '.join(declared)}")
    tensors = {tensor.name: tensor for tensor in body.inputs}
    if len(tensors) < len(body.inputs):
        raise RefusedError(422, f"inputs name the tensor {body.inputs[0].name!r} twice: give it once")
    mask_tensor = tensors.pop(MASK, None)
    if len(tensors) != 1:
        raise RefusedError(422, f"inputs must be one tensor of observations, and may have {MASK}")
    ((input_name, tensor),) = tensors.items()
    rows, _ = shaped(_reshaped(tensor, _numbers(tensor)), policy.spaces.observation.shape or (), input_name)
    mask = None
    if mask_tensor is not None:
        if mask_tensor.datatype != "BOOL":
            raise RefusedError(422, f"{MASK} has the datatype {mask_tensor.datatype!r}: it must be BOOL")
        legal = _reshaped(mask_tensor, _array(mask_tensor.data, flags, MASK))
        mask = legal_actions(legal, policy, len(rows), False, MASK)
    decided, answered = await _decide(server, Observation(rows, mask, False), body.parameters)
    arrays = {"action": decided.actions, "probabilities": decided.probabilities, "value": decided.values}
    outputs = [
        _output(name, declared[name][0], array) for name, array in arrays.items() if name in asked and array is not None
    ]
    answer = {"model_name": server.source.name, "model_version": answered, "outputs": outputs}
    return json_answer(answer if body.id is None else {**answer, "id": body.id})


def _numbers(tensor: InferTensor) -> np.ndarray:
    """The numbers of a tensor, which its datatype can hold.

    Raises:
        RefusedError: 422, it cannot, or is not of numbers.
    """
    dtype = _NUMBER_TYPES.get(tensor.datatype)
    if dtype is None:
        raise RefusedError(422, f"{tensor.name} has the datatype {tensor.datatype!r}: it must be FP32")
    array = _array(tensor.data, numbers, tensor.name)
    given = np.asarray(tensor.data)
    limits: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    fits = dtype.kind == "f" or given.dtype.kind in "iu"
    if not fits or given.min() < limits.min or given.max() > limits.max:
        raise RefusedError(422, f"{tensor.name} has numbers that are not {tensor.datatype}: send them as FP32")
    return array


def _reshaped(tensor: InferTensor, array: np.ndarray) -> np.ndarray:
    if array.size != int(np.prod(tensor.shape, dtype=object)) or tensor.shape[0] > MAX_BATCH:
        raise RefusedError(
            422, f"{tensor.name} has {array.size} numbers, which are not of the shape {tensor.shape[:16]}, or too many"
        )
    return array.reshape(tensor.shape)


def _output(name: str, datatype: str, array: np.ndarray) -> dict[str, Any]:
    data = array.astype(_NUMBER_TYPES[datatype]).ravel().tolist()
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "data": data}
