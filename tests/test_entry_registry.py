"""The registry: entries registered by code, and entry points of installed packages."""

import sys
from pathlib import Path

import pytest

from rl_eval.errors import InputError
from rl_eval.registry import Registry


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that installs a package on `sys.path`: its module's source and its entry points."""

    def install(source, **entry_points):
        (tmp_path / "their_package.py").write_text(source)
        info = tmp_path / "their_package-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
        points = "".join(f"{name} = their_package:{value}\n" for name, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[rl_eval.fruit]\n{points}")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "their_package", raising=False)
        return Registry("rl_eval.fruit", "a fruit", str)

    return install


def test_an_entry_point_is_loaded_when_it_is_looked_up(installed):
    registry = installed("APPLE = 'apple'", apple="APPLE")
    assert list(registry) == ["apple"]
    assert "apple" in registry
    assert "their_package" not in sys.modules
    assert registry.get("apple") == "apple"


def test_registered_entries_come_after_entry_points(installed):
    registry = installed("APPLE = 'apple'", apple="APPLE")
    registry.register("pear", "pear")
    assert list(registry) == ["apple", "pear"]
    assert registry.get("pear") == "pear"


def test_two_entries_of_one_name_are_refused(installed):
    registry = installed("")
    registry.register("pear", "pear")
    registry.register("pear", registry.get("pear"))  # the same entry again is not another one
    with pytest.raises(InputError, match="registered twice"):
        registry.register("pear", "other")


def test_what_other_code_adds_is_neither_built_in_nor_an_entry_point(installed):
    registry = installed("APPLE = 'apple'", apple="APPLE")
    registry.register("pear", "pear")
    registry.mark_built_in("pear")
    registry.get("apple")
    assert registry.added == []
    registry.register("plum", "plum")
    assert registry.added == ["plum"]


def test_a_registered_entry_takes_precedence_over_an_entry_point_of_its_name(installed):
    registry = installed("APPLE = 'apple'", apple="APPLE")
    with pytest.warns(UserWarning, match=r"apple = their_package:APPLE is ignored"):
        registry.register("apple", "ours")
    assert registry.get("apple") == "ours"
    assert list(registry) == ["apple"]


def test_a_package_may_register_the_entry_of_its_own_entry_point(installed, recwarn):
    registry = installed("APPLE = 'apple'", apple="APPLE")
    entry = registry.get("apple")
    registry.register("apple", entry)
    assert not recwarn.list


def test_a_package_that_cannot_be_loaded_does_not_hide_the_others(installed):
    registry = installed("APPLE = 'apple'", apple="APPLE", broken="NOWHERE")
    registry.register("pear", "pear")
    with pytest.warns(UserWarning, match=r"'broken' .their_package:NOWHERE. cannot be loaded"):
        assert registry.available() == ["apple", "pear"]


def test_an_unknown_name_is_refused_with_the_nearest(installed):
    with pytest.raises(InputError, match=r"'aple' is not a fruit: .*apple"):
        installed("APPLE = 'apple'", apple="APPLE").get("aple")


@pytest.mark.parametrize("source", ["raise OSError('no juice')", "raise SystemExit", "", "APPLE = 1"])
def test_a_package_that_cannot_be_loaded_is_one_sentence(installed, source):
    with pytest.raises(InputError, match=r"'apple' .their_package:APPLE.") as error:
        installed(source, apple="APPLE").get("apple")
    assert "\n" not in str(error.value)


def test_an_entry_of_the_wrong_class_is_refused(installed):
    with pytest.raises(InputError, match="is not a fruit but int"):
        installed("").register("one", 1)


def test_the_name_of_an_entry_point_is_that_of_its_entry(installed):
    installed("class Named:\n    name = 'pear'\nAPPLE = Named()", apple="APPLE")
    with pytest.raises(InputError, match="has the name 'pear'"):
        Registry("rl_eval.fruit", "a fruit", name_attribute="name").get("apple")


def test_an_entry_registered_by_its_own_name_must_have_one(installed):
    registry = Registry("rl_eval.fruit", "a fruit", Path, "stem")
    assert registry.register_named(Path("apple.txt")).stem in registry
    with pytest.raises(InputError, match="is not a fruit but int"):
        registry.register_named(3)
    with pytest.raises(InputError, match="has no stem"):
        registry.register_named(Path())
