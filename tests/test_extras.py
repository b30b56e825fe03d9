"""Missing packages of extras: one sentence with the extra; errors of ours stay what they are."""

import importlib
import sys

import pytest

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra, require_extra


def test_a_missing_package_is_one_sentence_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    sentence = r"^policy 'p' needs onnxruntime, .*: pip install 'rl_eval\[onnx\]'$"
    with pytest.raises(InputError, match=sentence), imports_of_extra("onnx", "policy 'p'"):
        importlib.import_module("onnxruntime")
    with pytest.raises(InputError, match=r"^it needs no_such_package, .*: pip install 'rl_eval\[train\]'$"):
        require_extra("train", "it", "numpy", "no_such_package")


def test_a_submodule_is_said_by_its_package():
    with pytest.raises(InputError, match=r"^it needs no_such_package, "), imports_of_extra("wandb", "it"):
        importlib.import_module("no_such_package.inner")


def test_a_broken_package_is_one_sentence_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise ImportError('libx.so:\\n not found', name='broken_package')")
    monkeypatch.syspath_prepend(tmp_path)
    sentence = r"broken_package, which cannot be imported \(libx.so: not found\): pip"
    with pytest.raises(InputError, match=sentence), imports_of_extra("onnx", "it"):
        importlib.import_module("broken_package")


def test_what_is_installed_is_imported():
    with imports_of_extra("train", "it"):
        numpy = importlib.import_module("numpy")
    require_extra("train", "it", "numpy")
    assert numpy.__name__ == "numpy"


def test_a_mistake_of_ours_is_not_a_missing_extra():
    with pytest.raises(ModuleNotFoundError), imports_of_extra("train", "it"):
        importlib.import_module("rl_eval.no_such_module")
