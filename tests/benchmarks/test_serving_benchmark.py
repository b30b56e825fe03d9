"""The sides of `benchmarks.serving` answer the same questions with the same actions."""

import json

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from benchmarks import serving
from rl_eval.serving.source import load


def test_the_run_and_the_file_are_the_same_policy(tmp_path):
    run, file = serving.write_policy(tmp_path)
    ours, exported = (load(spec, seed=0, trust=False).policy for spec in (str(run), f"onnx:{file}"))
    rows = []
    for request in serving.requests(serving.OURS, 1)[:8]:
        head, _, body = request.partition(b"\r\n\r\n")
        assert int(head.split(b"Content-Length: ")[1]) == len(body)
        rows.append(json.loads(body)["observation"])
    assert (
        ours.policy.act(np.array(rows, np.float32), True).tolist()
        == exported.policy.act(np.array(rows, np.float32), True).tolist()
    )
