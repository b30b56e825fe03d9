"""Each seeded defect of the shop is found by its trigger, alone, and the build without it shows nothing."""

import pytest

from rl_eval.domains.webtest.browser import Tester
from rl_eval.domains.webtest.shop import DEFECT_IDS, DEFECTS, defect_of, start
from tests.domains.webtest.browser.walks import TRIGGERS, walk

QUICK = ("D01", "D12")
ALL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.verify) for name in DEFECT_IDS]


@pytest.fixture(scope="module")
def shop():
    pytest.importorskip("fastapi")
    with start() as running:
        yield running


@pytest.mark.parametrize("name", ALL)
def test_its_trigger_shows_it_and_nothing_else(shop, chromium, run, name):
    path, *actions = TRIGGERS[name]
    tester = Tester(chromium, f"{shop.base_url}{path}", values={"code": "WELCOME10"})
    shop.start_episode([name])
    seen = walk(tester, run, *actions)
    defect = next(one for one in DEFECTS if one.id == name)
    assert [kind for kind, _ in seen] == [defect.kind], seen
    assert [defect_of(*one) for one in seen] == [name]
    shop.start_episode([])
    assert walk(tester, run, *actions) == []
    run(tester.close())
