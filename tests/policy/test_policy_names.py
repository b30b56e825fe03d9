"""Which strings name a policy, a run directory, or neither."""

import pytest

from rl_eval import policy
from tests.policy.policies import refused

ALL = "give a run directory, random, constant:<a>, "
RUN_FILE = "outputs/run/snapshots/step_1/policy.safetensors"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        *((spec, f"is neither a run directory nor a policy: {ALL}") for spec in ("nope", "untraind", "dir/no:pe")),
        *((spec, "is not complete: give ") for spec in ("python:", "constant", "constant:", "onnx", "http", "http:")),
        *((spec, f"is not a policy source: .*{ALL}") for spec in ("ftp://x", "lft:model", "run:1")),
        ("onx:model", "did you mean 'onnx'"),
        ("ONNX:model", "did you mean 'onnx'"),
        ("model.zip", "in such a file is named sb3:ppo:model.zip"),
        ("a b/m=1,2#+.ONNX", r"is named onnx:a b/m=1,2#\+.ONNX"),
        ("theirs.py", "is named python:theirs:<callable>"),
        (RUN_FILE, "name the run directory, outputs/run"),
        ("weights.pt", "in such a file is named torchscript:weights.pt"),
        ("weights.npz", "is a file that no policy source reads: export its policy to ONNX"),
        ("htp://me:secret@host/act", r"^'htp://(?!.*secret)"),
        ("", "is not a run directory"),  # the working directory
    ],
)
def test_what_names_no_policy_is_reported_with_what_does(tmp_path, monkeypatch, spec, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / RUN_FILE).parent.mkdir(parents=True)
    for file in (RUN_FILE, "outputs/run/run.json", "weights.pt", "weights.npz"):
        (tmp_path / file).touch()
    refused(message, spec)


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
