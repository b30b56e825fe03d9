"""Fixtures for the tests of the data that a suite names."""

from __future__ import annotations

import pytest

from rl_eval.cli import main
from tests.gates.suite_data.months import TRAIN, write_csv
from tests.training.learn import learn


@pytest.fixture(scope="session")
def months(tmp_path_factory):
    """A run that was trained on January, and the files of three months."""
    folder = tmp_path_factory.mktemp("months")
    jan = write_csv(folder / "jan.csv", "jan")
    write_csv(folder / "feb.csv", "feb", seed=1)
    write_csv(folder / "march.csv", "jan", seed=2, shift=0.1)
    run = learn([*TRAIN, f"env.path={jan}"], folder / "outputs")
    return folder, run


@pytest.fixture(scope="session")
def export(months, tmp_path_factory):
    """The run of January as an ONNX file."""
    pytest.importorskip("onnxruntime")
    file = tmp_path_factory.mktemp("export") / "policy.onnx"
    assert main(["export", str(months[1].path), "--onnx", str(file)]) == 0
    return file
