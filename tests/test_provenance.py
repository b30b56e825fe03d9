"""Versions of packages: those of this environment, and none where a package is missing."""

from importlib.metadata import PackageNotFoundError

import numpy as np

from rl_eval import provenance


def test_versions_are_those_that_are_installed():
    assert provenance.versions()["numpy"] == np.__version__
    assert provenance.installed_version("pytest") is not None


def test_a_package_that_is_missing_has_no_version(monkeypatch):
    def version(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(provenance, "version", version)
    assert provenance.versions()["torch"] is None
