import pytest

from rl_eval.domains.webtest.browser import Chromium, executable
from rl_eval.domains.webtest.browser.tester import WHOLE_S


@pytest.fixture(scope="session")
def chromium():
    if executable() is None:
        pytest.skip("no Chromium on the path")
    pytest.importorskip("playwright")
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture
def run(chromium):
    """Runs what a tester does."""
    return lambda work: chromium.run(work, 4 * WHOLE_S)
