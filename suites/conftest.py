"""Suites start quickly: what pytest would load for the project's own tests alone is left out."""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Do without Hypothesis where no test uses it: its plugin loads all of it, half a second, to end a session."""
    if "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")
