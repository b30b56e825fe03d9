"""`python:`: functions, objects and classes of other code, and answers that are refused."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from rl_eval.errors import InputError
from rl_eval.policy import load
from tests.policy.policies import BOX, CARTPOLE, observations, refused, spaces


@pytest.fixture
def module(monkeypatch):
    """A module of somebody else's, which a test may fill."""
    module = ModuleType("their_module")
    monkeypatch.setitem(sys.modules, "their_module", module)
    return module


def pushes_right(obs):
    return np.ones(len(obs), np.int64)


class OfTheirs:
    def act(self, obs, greedy):
        return np.full(len(obs), int(greedy))


def test_a_function_an_object_or_a_class_of_other_code_acts(module):
    module.function, module.instance, module.kind = pushes_right, OfTheirs(), OfTheirs
    module.both, module.listed = lambda obs, greedy=True: np.full(len(obs), int(greedy)), lambda obs: [1] * len(obs)
    for name, sampled in (("function", 1), ("listed", 1), ("instance", 0), ("kind", 0), ("both", 0)):
        acting = load(f"python:their_module:{name}", CARTPOLE, None, trust=True)
        for n in (1, 3):
            assert acting.act(observations(n), True).tolist() == [1] * n
            assert acting.act(observations(n), False).tolist() == [sampled] * n


def test_continuous_actions_of_other_code_may_leave_the_box_by_rounding_alone(module):
    module.rounded = lambda obs: np.tile([-2 - 1e-6, 0.7 + 1e-6], (len(obs), 1))
    actions = load("python:their_module:rounded", spaces(BOX), None, trust=True).act(observations(), True)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, np.tile(np.float32([-2, 0.7]), (len(observations()), 1)))
    module.wild = lambda obs: np.tile([1.5, 0.1], (len(obs), 1))
    message = r"returned the float64 action \[1\.5, 0\.1\] for observation 0 of 50: .* must be in Box.* \(clip it\)$"
    with pytest.raises(InputError, match=message):
        load("python:their_module:wild", spaces(BOX), None, trust=True).act(observations(), True)


def test_code_is_imported_only_where_it_is_trusted(module, tmp_path, monkeypatch):
    module.function = pushes_right
    message = r"^policy 'python:.*' imports and runs code: add --trust .*--rl-trust"
    refused(message, "python:their_module:function", trust=False)
    (tmp_path / "boom_on_import.py").write_text("raise SystemError('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    refused(message, "python:boom_on_import:f", trust=False)
    refused(r"cannot be loaded: ran$", "python:boom_on_import:f", trust=True)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("nowhere_at_all:f", "cannot be loaded: No module named 'nowhere_at_all'"),
        (".relative:f", "cannot be loaded"),
        ("os:nothing", "cannot be loaded: module 'os' has no attribute 'nothing'"),
        ("os:sep", "names str, which cannot be called with observations"),
        ("fractions:Fraction.nothing", "cannot be loaded"),
        ("collections:ChainMap.__init__", "cannot be loaded"),
    ],
)
def test_code_that_cannot_be_loaded_is_reported(rest, message):
    refused(rf"^policy 'python:{rest}' {message}", f"python:{rest}")


WRONG = {
    "one for all": (
        np.int64(1),
        CARTPOLE.action,
        r"of shape \(\) for 3 observations: .*one action for each observation, \(3,\)",
    ),
    "too many": ([1, 1, 1, 1], CARTPOLE.action, r"of shape \(4,\) for 3 observations"),
    "a column": ([[1], [1], [1]], CARTPOLE.action, r"of shape \(3, 1\) for 3 observations"),
    "probabilities": (np.full((3, 2), 0.5), CARTPOLE.action, r"of shape \(3, 2\)"),
    "nothing": (None, CARTPOLE.action, r"of shape \(\)"),
    "no action": ([0, 1, 2], CARTPOLE.action, r"the int64 action 2 for observation 2 of 3: every .* in Discrete\(2\)$"),
    "fractions": ([0.0, 1.0, 1.0], CARTPOLE.action, r"the float64 action 0\.0 for observation 0 of 3"),
    "words": (["a", "b", "c"], CARTPOLE.action, r"the <U1 action a for"),
    "a flat box": ([0.1, 0.1, 0.1], BOX, r"of shape \(3,\) for 3 observations: .*, \(3, 2\)"),
    "NaN": (
        np.full((3, 2), np.nan),
        BOX,
        r"the float64 action \[nan, nan\] for observation 0 of 3: .* in Box\(.*float32\)$",
    ),
}


@pytest.mark.parametrize(("answer", "action", "message"), WRONG.values(), ids=WRONG)
def test_an_answer_that_is_not_one_action_an_observation_is_reported(module, answer, action, message):
    module.function, module.instance = lambda obs: answer, SimpleNamespace(act=lambda obs, greedy: answer)
    for name in ("function", "instance"):
        acting = load(f"python:their_module:{name}", spaces(action), None, trust=True)
        with pytest.raises(InputError, match=rf"^policy python:their_module:{name} returned .*{message}"):
            acting.act(observations(3), True)
