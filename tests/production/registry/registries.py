"""What tests of registries share."""

import importlib.util
from pathlib import Path

import pytest

from rl_eval.production.registry import (
    Lineage,
)

# MLflow takes seconds to load and to make its tables: its tests are long ones.
MLFLOW = pytest.param(
    "mlflow",
    marks=[
        pytest.mark.verify,
        pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed"),
    ],
)
KINDS = ["folder", MLFLOW]
LINEAGE = Lineage("sha256:abc", None, {"decision": "PASS", "bar": 0.8}, "c5e733b", {"machine_s": 3.5}, "1f2e")


def files_of(folder: Path):
    """The registered file with the weights."""
    return next(folder.rglob("policy.safetensors"))
