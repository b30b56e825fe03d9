"""Which strings name a policy, a run directory, or neither."""

import pytest

from rl_eval import policy
from tests.policy.policies import refused


@pytest.mark.parametrize(
    "spec", ["nope", "python:", "constant", "constant:", "untraind", "onnx", "onnx:", "", "http", "http:", "ftp://x"]
)
def test_what_names_no_policy_is_reported_with_what_does(spec):
    if spec == "":
        refused(r"is not a run directory", spec)  # the working directory
    else:
        refused(r"is neither a run directory nor a policy: give a run directory, random, constant:<a>, ", spec)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        *((spec, True) for spec in ("random", "untrained", "untrained:1", "constant:0", "baseline:x", "onnx:a/b.onnx")),
        *((spec, True) for spec in ("sb3:ppo:m.zip", "python:a:b", "http://127.0.0.1:1/", "https://localhost/")),
        *((spec, False) for spec in ("outputs/run", "/tmp/run", "constant", "onnx", "C:/runs/1", "run:1", "", ".")),
    ],
)
def test_a_policy_is_distinguished_from_a_directory_by_its_prefix(spec, expected):
    assert policy.names_policy(spec) is expected
