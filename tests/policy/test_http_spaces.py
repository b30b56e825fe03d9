"""What servers are asked for observations of any space, in each form, and their own words on an error."""

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.envs.space_values import OneHot, as_rows
from rl_eval.errors import InputError
from rl_eval.policy._http import _own_words
from rl_eval.policy._http_protocols import InferProtocol, MLflowProtocol, PlainProtocol, Question, ServeProtocol

ROOM = OneHot(gym.spaces.Discrete(3, start=-1))
ROOMS = np.array([[0, 0, 1], [1, 0, 0]])  # of 1 and -1
PLACE = gym.spaces.Dict(x=gym.spaces.Box(-1, 1, (2,)), door=gym.spaces.Discrete(4))
PLACES = as_rows(PLACE, [{"x": np.float32([0.5, -1]), "door": 3}, {"x": np.float32([0, 0.25]), "door": 0}])
PAIR = gym.spaces.Tuple([gym.spaces.Discrete(4), gym.spaces.Text(5)])
PAIRS = as_rows(PAIR, [(3, "left"), (0, "up")])


def asked(protocol, space, rows):
    return protocol.request(Question(rows, True, 0, np.ones(len(rows), bool), None, 0, space))


@pytest.mark.parametrize(
    ("space", "rows", "expected"),
    [
        (ROOM, ROOMS, [1, -1]),
        (PLACE, PLACES, {"x": [[0.5, -1.0], [0.0, 0.25]], "door": [3, 0]}),
        (PAIR, PAIRS, [[3, 0], ["left", "up"]]),
    ],
)
def test_observations_are_batches_in_json(space, rows, expected):
    assert asked(PlainProtocol(), space, rows)["observations"] == expected
    assert asked(MLflowProtocol(), space, rows)["inputs"] == expected


def test_kserve_gets_the_types_and_shapes_of_its_metadata():
    def infer(inputs, space, rows):
        return asked(InferProtocol(lambda: {"inputs": inputs}), space, rows)["inputs"]

    number = {"name": "room", "shape": [-1, 1], "datatype": "INT64"}
    assert infer([number], ROOM, ROOMS) == [{"name": "room", "shape": [2, 1], "datatype": "INT64", "data": [1, -1]}]
    one_hot = {"name": "room", "shape": [-1, 3], "datatype": "FP32"}
    assert infer([one_hot], ROOM, ROOMS)[0]["data"] == ROOMS.ravel().tolist()
    parts = {tensor["name"]: tensor for tensor in infer([{"name": "door", "datatype": "INT32"}], PLACE, PLACES)}
    assert parts["door"] == {"name": "door", "shape": [2], "datatype": "INT32", "data": [3, 0]}
    assert parts["x"] == {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [0.5, -1.0, 0.0, 0.25]}
    assert infer([{"name": "y", "datatype": ["no"]}], ROOM, ROOMS)[0]["datatype"] == "FP32"


def test_what_a_form_cannot_carry_is_one_sentence():
    with pytest.raises(InputError, match=r"^takes one array, but the observations are Dict"):
        asked(ServeProtocol(), PLACE, PLACES)
    with pytest.raises(InputError, match=r"^takes one array, but the observations are Tuple"):
        asked(InferProtocol(dict), PAIR, PAIRS)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"detail": "no such row"}', "no such row"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        (b'{"error": "model m is not ready"}', "model m is not ready"),
        (b'{"error_code": "BAD_REQUEST", "message": "Incompatible input types"}', "Incompatible input types"),
        (b"upstream timed out", "upstream timed out"),
        (b"<html>Bad gateway</html>", ""),
        (b'{"detail": 5}', ""),
        (b"[1, 2]", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_the_words_of_a_server_are_those_of_its_kind(body, words):
    assert _own_words(body) == words
