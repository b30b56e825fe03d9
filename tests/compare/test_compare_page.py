"""The comparison page in a browser, with the checks of the report's pages."""

import pytest

from rl_eval.cli import main
from tests.report.browser import BINARY, CONTRAST, CUT, Browser

pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on the path")


def test_nothing_is_cut_and_everything_is_readable(run_names, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["compare", *run_names("good"), *run_names("bad"), "--html", str(page), "--episodes", "4"]) == 0
    browser = Browser(tmp_path / "profile")
    try:
        for width in (390, 1440):
            for scheme in ("light", "dark"):
                browser.open(page, width=width, scheme=scheme)
                browser.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")
                assert browser.evaluate("document.documentElement.scrollWidth") <= width
                assert browser.evaluate(CUT) == []
                assert browser.evaluate("document.querySelectorAll('#curves .legend').length") == 1
                axes = """[...document.querySelectorAll('#scores svg')].map(svg =>
                    [...svg.querySelectorAll('text[text-anchor=middle]')].map(node => node.textContent).join())"""
                assert len(set(browser.evaluate(axes))) == 1
                result = browser.evaluate(CONTRAST)
                assert result["checked"] > 40
                assert result["bad"] == []
        assert browser.messages == []
    finally:
        browser.close()
