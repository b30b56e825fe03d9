"""Real applications in Chromium, with the interface of the simulator.

Importing this is light: Playwright is loaded by the first `Chromium`.
"""

from rl_eval.domains.webtest.browser.chromium import Chromium, executable, require_chromium
from rl_eval.domains.webtest.browser.steps import Step
from rl_eval.domains.webtest.browser.tester import Tester

__all__ = ["Chromium", "Step", "Tester", "executable", "require_chromium"]
