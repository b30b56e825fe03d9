"""The pages in a browser: nothing cut off, an empty console, readable text, working keys."""

import re

import pytest

from rl_eval.report import write_report
from rl_eval.run import write_json
from tests.gates.fake_runs import BALANCE, write_run
from tests.report.browser import BINARY, CONTRAST, CUT, CUT_NUMBERS, Browser
from tests.report.judged_runs import failing, judged_run, passing

pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on the path: pages are looked at in one")

SIZES = "Promise.all([...document.images].map(node => node.decode().then(() => node.naturalWidth)))"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages that are looked at, by name."""
    folder = tmp_path_factory.mktemp("pages")
    threat = {"name": "threat", "train_flows": 400, "validation_flows": 400, "test_flows": 400}
    rule = {"rule": [0.0] * 3, "bias": (0.0, 1.0, 0.0, 0.0)}
    pages = {
        "with films": [judged_run(folder / "films", rule=BALANCE).path],
        "failing cases": [judged_run(folder / "cases", threat, suites=[failing()], **rule).path],
        "bare": [write_run(folder / "bare").path],
    }
    sweep = folder / "sweep"
    sweep.mkdir()
    for seed in (1, 2, 3):
        name = f"{seed}_a_name_that_is_longer_than_any_column_could_ever_be_{seed}"
        judged_run(sweep / name, seed=seed, suites=[passing()])
    write_json(sweep / "sweep.json", {"jobs": [{"directory": run.name} for run in sorted(sweep.iterdir())]})
    pages["sweep"] = [sweep]
    return {name: write_report(paths) for name, paths in pages.items()}


@pytest.mark.parametrize("name", ["with films", "failing cases", "bare", "sweep"])
def test_nothing_is_cut_and_everything_is_readable(browser, pages, name):
    for width in (390, 1440):
        for scheme in ("light", "dark"):
            browser.messages.clear()
            browser.open(pages[name], width=width, scheme=scheme)
            browser.evaluate("document.querySelectorAll('details').forEach(node => { node.open = true; })")
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate(CUT) == []
            assert width < 1440 or browser.evaluate(CUT_NUMBERS) == []
            result = browser.evaluate(CONTRAST)
            assert result["checked"] > 40
            assert result["bad"] == []
            sizes = browser.evaluate(SIZES)
            assert all(sizes)
            assert bool(sizes) == (name in ("with films", "bare"))
            assert browser.messages == []


def test_values_appear_on_hover(browser, pages):
    browser.open(pages["with films"], width=1440)
    titles = browser.evaluate("[...document.querySelectorAll('svg title')].map(node => node.textContent)")
    assert len([title for title in titles if re.match(r"[\d,]+ env steps\n−?[\d.,e−]+$", title)]) > 100
    assert any(title.startswith("Estimate 49") and "required: at least 475" in title for title in titles)
    fills = "[...document.querySelectorAll('.hover')].map(node => getComputedStyle(node).fill)"
    assert set(browser.evaluate(fills)) == {"rgba(0, 0, 0, 0)"}


def test_the_checks_themselves_see_what_they_forbid(browser, pages):
    browser.open(pages["bare"], width=390)
    browser.messages.clear()
    browser.evaluate("document.querySelector('h2').style.color = '#999'")
    browser.evaluate("document.querySelector('h1').style.width = '900px'")
    browser.evaluate("document.body.append(Object.assign(new Image(), {src: 'https://example.org/x.png'}))")
    browser.evaluate("new Promise(done => setTimeout(done, 50))")
    assert [fault[0] for fault in browser.evaluate(CONTRAST)["bad"]] == ["H2"]
    assert "H1" in [fault[0] for fault in browser.evaluate(CUT)]
    assert browser.evaluate("document.documentElement.scrollWidth") > 390
    assert "Content Security Policy" in str(browser.messages)


def test_a_film_shows_its_frames_one_after_the_other(browser, pages):
    browser.open(pages["with films"], width=1440)
    script = """(moment => {
      const film = document.querySelector(".film"), style = getComputedStyle(film);
      const [columns, rows] = ["--columns", "--rows"].map(name => Number(style.getPropertyValue(name)));
      const seconds = parseFloat(style.getPropertyValue("--seconds"));
      for (const each of film.getAnimations({subtree: true})) {
        each.pause();
        each.currentTime = 1000 * seconds * (moment + .5) / (columns * rows);
      }
      const screen = film.querySelector(".screen").getBoundingClientRect();
      const strip = film.querySelector("img").getBoundingClientRect();
      const across = (screen.left - strip.left) / screen.width, down = (screen.top - strip.top) / screen.height;
      return [Math.round(100 * across) / 100, Math.round(100 * down) / 100, columns, rows];
    })(%d)"""
    _, _, columns, rows = browser.evaluate(script % 0)
    for frame in (0, 1, columns - 1, columns, columns * rows - 1):
        across, down, _, _ = browser.evaluate(script % frame)
        assert (across, down) == pytest.approx((frame % columns, frame // columns), abs=0.03)


def test_a_film_moves_stops_and_goes_on_by_the_keyboard(browser, pages):
    state = "getComputedStyle(document.querySelector('.film img')).animationPlayState"
    browser.open(pages["with films"], width=1440)
    assert browser.evaluate(state) == "running"
    for _ in range(40):
        browser.press("Tab", "Tab")
        if browser.evaluate("document.activeElement.className") == "switch":
            break
    assert browser.evaluate("getComputedStyle(document.querySelector('.film label')).outlineStyle") == "solid"
    browser.press(" ", "Space")
    assert browser.evaluate(state) == "paused"
    assert browser.evaluate("document.querySelector('.film label').innerText") == "Play"
    browser.press(" ", "Space")
    assert browser.evaluate(state) == "running"


def test_whoever_wants_no_motion_starts_it_himself(browser, pages):
    state = "getComputedStyle(document.querySelector('.film img')).animationPlayState"
    browser.open(pages["with films"], width=1440, motion="reduce")
    assert browser.evaluate(state) == "paused"
    assert browser.evaluate("document.querySelector('.film label').innerText") == "Play"
    browser.evaluate("document.querySelector('.film .switch').click()")
    assert browser.evaluate(state) == "running"


def test_the_first_key_leads_past_the_contents(browser, pages):
    browser.open(pages["with films"], width=390)
    browser.press("Tab", "Tab")
    assert browser.evaluate("document.activeElement.className") == "skip"
    assert browser.evaluate("document.activeElement.getBoundingClientRect().top") >= 0


def test_every_chart_and_control_has_a_name(browser, pages):
    for page in pages.values():
        browser.open(page, width=1440)
        nodes = browser.send("Accessibility.getFullAXTree")["nodes"]
        roles = {"image", "img", "checkbox", "link", "heading", "region", "navigation", "table"}
        nameless = [
            node["role"]["value"]
            for node in nodes
            if not node.get("ignored") and node["role"]["value"] in roles and not node.get("name", {}).get("value")
        ]
        assert nameless == []
