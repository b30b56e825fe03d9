"""Stable-Baselines3 models as files, with pickles of the test's choice, made without training or torch."""

from __future__ import annotations

import base64
import io
import json
import pickle
import zipfile
from pathlib import Path

import cloudpickle
from gymnasium.spaces import Box, Discrete


def write_model(
    file: Path, *, pickles: dict[str, bytes] | None = None, entries: dict[str, bytes] | None = None
) -> Path:
    """A file with the entries of a saved model, and further pickles in `data` and further entries."""
    tensors = io.BytesIO()
    with zipfile.ZipFile(tensors, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"action_net.weight": 0}))
    content = {"observation_space": cloudpickle.dumps(Box(0, 1, (2,))), "action_space": cloudpickle.dumps(Discrete(2))}
    data = {
        "n_steps": 64,
        **{
            name: {":type:": "x", ":serialized:": base64.b64encode(each).decode()}
            for name, each in {**content, **(pickles or {})}.items()
        },
    }
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data", json.dumps(data))
        archive.writestr("policy.pth", tensors.getvalue())
        archive.writestr("_stable_baselines3_version", "2.9.2")
        for name, each in (entries or {}).items():
            archive.writestr(name, each)
    return file
