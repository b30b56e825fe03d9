"""`rl-eval webtest explore` on the shop: failures are reproduced, a lost session is noticed, secrets stay secret."""

import json
import os
import subprocess
import sys

import pytest

from rl_eval.domains.webtest.browser import executable
from rl_eval.domains.webtest.commands.explore import explore_application
from rl_eval.domains.webtest.shop import defect_of, start

pytestmark = [pytest.mark.verify, pytest.mark.skipif(executable() is None, reason="no Chromium on the path")]
LOG_IN = """
def log_in(page):
    page.goto(page.url + "account/login")
    page.fill("#email", "tester@example.com")
    page.fill("#password", "Passw0rd!2")
    page.click("main button")
    page.wait_for_url("**/account")
"""


def explore(url, out, **options):
    defaults = {
        "policy": None,
        "auth": None,
        "login": None,
        "allow": [],
        "values": [],
        "timeout_s": 10.0,
        "trust": True,
    }
    return explore_application(url, out=out, **{**defaults, **options})


def test_what_is_reported_is_reproduced_by_its_script(tmp_path):
    pytest.importorskip("playwright")
    defects = ["D02", "D03", "D09", "D12", "D16", "D17", "D20", "D21", "D24"]
    with start(defects) as shop:
        assert explore(shop.base_url, tmp_path / "out", budget=80, policy="baseline:breadth_first") == 1
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        failures = report["failures"]
        assert {defect_of(one["kind"], one["site"]) for one in failures} <= set(defects)
        assert len(failures) >= 2
        assert report["not_reproduced"] == []
        script = tmp_path / "out" / failures[0]["script_file"]
        assert subprocess.run([sys.executable, script]).returncode == 0
        shop.start_episode([])  # once it is repaired
        assert subprocess.run([sys.executable, script]).returncode == 1


def test_a_lost_session_is_noticed_and_storage_is_written_nowhere(tmp_path, capfd):
    pytest.importorskip("playwright")
    login = tmp_path / "login.py"
    login.write_text(LOG_IN)
    with start(["D20"]) as shop:
        options = {"login": login, "allow": ["log out"], "policy": "baseline:breadth_first"}
        explore(f"{shop.base_url}/", tmp_path / "out", budget=60, **options)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any("the session was lost" in note for note in report["notes"])
    written = "".join(file.read_text(errors="ignore") for file in (tmp_path / "out").iterdir()) + str(
        capfd.readouterr()
    )
    assert "shop_session" not in written
    assert not [name for name in os.listdir(tmp_path) if name.endswith("state.json")]
