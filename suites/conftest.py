"""Suites start quickly: plugins that only the tests of this project need are not loaded."""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Unregister Hypothesis if no test uses it: its plugin would load the library, which takes half a second."""
    if "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")
