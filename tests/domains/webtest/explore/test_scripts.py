"""The script of each seeded defect shows it, and shows nothing once the defect is repaired."""

import subprocess
import sys

import pytest

from rl_eval.domains.webtest.browser import Chromium, Tester, executable
from rl_eval.domains.webtest.browser.tester import WHOLE_S
from rl_eval.domains.webtest.explore.script import script
from rl_eval.domains.webtest.page import Failure
from rl_eval.domains.webtest.shop import DEFECT_IDS, start
from tests.domains.webtest.browser.walks import TRIGGERS, walk

pytestmark = [pytest.mark.verify, pytest.mark.skipif(executable() is None, reason="no Chromium on the path")]


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("playwright")
    chromium = Chromium()
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def shop():
    with start() as running:
        yield running


@pytest.mark.parametrize("name", DEFECT_IDS)
def test_its_script_shows_it_until_it_is_repaired(shop, browser, tmp_path, name):
    path, *actions = TRIGGERS[name]
    tester = Tester(browser, f"{shop.base_url}{path}", values={"code": "WELCOME10"})
    shop.start_episode([name])
    (failure,) = walk(tester, lambda work: browser.run(work, 4 * WHOLE_S), *actions)
    file = tmp_path / "script.py"
    file.write_text(script(Failure(*failure), tester.steps, tester.base_url))
    browser.run(tester.close(), WHOLE_S)
    for defects, status in (([name], 0), ([], 1)):
        shop.start_episode(defects)
        done = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=300)
        assert done.returncode == status, done.stdout + done.stderr
