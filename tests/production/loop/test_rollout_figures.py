"""What the status page and the metrics show of a roll-out: the figures of its decisions, in units of the reward."""

import dataclasses
import re

import pytest

from rl_eval.formatting import number
from rl_eval.production.config import load_config
from rl_eval.production.loop.loop import Loop
from rl_eval.production.loop.versions import register_run
from rl_eval.production.parts import open_parts
from rl_eval.production.watch import pages
from rl_eval.production.watch.figures import read_figures
from rl_eval.production.watch.metrics import prometheus_text
from tests.production.loop.traffic import SECTIONS, collect
from tests.production.served import write_config

BETTER, WORSE = (-1.0, -0.5), (-1.5, -1.0)


class RollingOut:
    """A loop whose clock a test moves on, with a challenger that is rolled out; rewards lie between -2 and 0."""

    def __init__(self, parts, runs, said):
        self.time = 1e9
        clock = {"clock": lambda: self.time, "steady": lambda: self.time}
        self.parts = dataclasses.replace(parts, **clock)
        self.loop = Loop(self.parts, said.append)
        self.first = 0
        for name in ("one", "two"):
            register_run(self.parts, runs / name, "ada")
        self.pass_time(0)

    def pass_time(self, seconds):
        self.time += seconds
        turn = self.loop.turn()
        assert turn.failures == {}
        return turn.decision

    def traffic(self, challenger, champion, units=60):
        """Units of both versions, until they count; returns the decision."""
        for version, rewards in (("1", champion), ("2", challenger)):
            collect(self.parts, units, version, self.first, self.time + 1 - self.first, rewards)
            self.first += units
        self.pass_time(units + 5)
        return self.pass_time(30)

    @property
    def looks(self):
        return self.parts.store.document("evidence").body["looks"]


@pytest.fixture
def rolling_out(tmp_path, runs):
    rollout = {
        "low": -2.0,
        "high": 0.0,
        "margin": 0.1,
        "steps": [0.5, 0.8],
        "reward_window": 20,
        "step": {"min": 100, "max": 90_000},
    }
    sections = {**SECTIONS, "rollout": rollout, "trigger": {**SECTIONS["trigger"], "experiences": None}}
    with open_parts(load_config(write_config(tmp_path, **sections))) as parts:
        yield RollingOut(parts, runs, [])


@pytest.mark.parametrize(("challenger", "champion", "side"), [(BETTER, WORSE, "higher"), (WORSE, BETTER, "lower")])
def test_metric_and_chart_show_the_difference_of_the_decisions_sentence(
    rolling_out, monkeypatch, challenger, champion, side
):
    drawn = []
    monkeypatch.setattr(pages.charts, "curves", lambda series, description, **rest: drawn.append((series, rest)) or "")
    rolling_out.traffic(challenger, champion, 30)
    decision = rolling_out.traffic(challenger, champion, 30)
    (difference, margin) = re.search(rf"mean reward is (\S+) {side} .* margin ([\d.]+)", decision.sentence).groups()
    assert 0.1 < float(difference) < 0.9
    figures = read_figures(rolling_out.parts, rolling_out.time)
    (exported,) = re.findall(
        r"^rl_eval_loop_rollout_difference (\S+)$", prometheus_text(figures).decode(), re.MULTILINE
    )
    pages.status_page(figures, [0.5, 0.8])
    ((line,), rest) = drawn[-1]
    for shown in (float(exported), line.y[-1]):
        assert number(abs(shown)) == difference
        assert (shown > 0) == (side == "higher")
    assert number(-rest["rule"][0]) == margin
    assert all(abs(value) <= 2.0 for value in line.y)  # no further than the bounds of a reward


def test_a_decision_is_shown_with_the_step_that_it_was_made_in(rolling_out):
    for _ in range(4):
        rolling_out.traffic(BETTER, WORSE, 150)
    first, *rest = rolling_out.looks
    assert (first["verdict"], first["state"], first["share"]) == ("hold", "idle", 0.0)
    promotions = [(look["state"], look["share"], look["share_after"]) for look in rest if look["verdict"] == "promote"]
    assert promotions[:2] == [("canary", 0.5, 0.8), ("canary", 0.8, 1.0)]
    html = pages.status_page(read_figures(rolling_out.parts, rolling_out.time), [0.5, 0.8])
    row = [row for row in html.split("<tr>") if ">PROMOTE<" in row][-1]
    assert "canary, 50 %" in row.replace("\u202f", " ").replace("\xa0", " ")


def test_a_step_that_decides_nothing_says_why(tmp_path, runs):
    """On the default bounds, 0 and 1, which a cost is outside of."""
    sections = {**SECTIONS, "rollout": {"reward_window": 20}, "trigger": {**SECTIONS["trigger"], "experiences": None}}
    with open_parts(load_config(write_config(tmp_path, **sections))) as parts:
        said = []
        rolling_out = RollingOut(parts, runs, said)
        first = rolling_out.traffic(BETTER, WORSE)
        decision = rolling_out.traffic(BETTER, WORSE)
        figures = read_figures(rolling_out.parts, rolling_out.time)
        html = pages.status_page(figures, [0.1, 0.5])
    assert (first.figure, decision.figure) == ("bounds", "bounds")
    assert re.search(r"a reward of \S+ is outside \[0, 1\], so this step decides nothing", decision.sentence)
    assert [line for line in said if "outside" in line] == [f"roll-out: {decision.sentence}"]
    assert "is outside [0, 1], so this step decides nothing" in html
