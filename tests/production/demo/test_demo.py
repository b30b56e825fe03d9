"""The configs of production, and the demo from its first line to its page."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval import domains, gates
from rl_eval import run as run_files
from rl_eval.production import review_queue
from rl_eval.production.config import ProductionConfig, load_config
from rl_eval.production.demo.bad_policy import worst_of
from rl_eval.production.demo.simulated_clock import SimulatedClock
from rl_eval.production.parts import open_parts
from rl_eval.production.watch.figures import audit_tail
from rl_eval.serving.source import load

ROOT = Path(__file__).resolve().parents[3]
CONF = ROOT / "deploy" / "examples"


def test_the_config_to_begin_with_is_valid_and_its_suites_exist():
    config = load_config(CONF / "production.yaml")
    for suite in config.proof.suites:
        assert gates.load_suite(config.directory / suite).criteria


def test_the_config_of_the_demo_is_valid():
    values = yaml.safe_load((CONF / "demo.yaml").read_text())
    config = ProductionConfig.model_validate(values["production"])
    assert config.rollout.steps == [0.1, 0.5]
    for env in (*values["periods"], config.loop.reference):
        assert domains.validate(env).name == env["name"]
    for suite in config.proof.suites:
        assert gates.load_suite(CONF / suite).criteria


def test_the_bad_candidate_prefers_what_the_champion_avoids(runs, tmp_path):
    champion = run_files.read_run(runs / "one")
    bad = load(str(worst_of(champion, tmp_path / "bad")), seed=0, trust=False)
    good = load(str(runs / "one"), seed=0, trust=False)
    observations = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    first, second = (p.policy.distributions(observations, None).probabilities for p in (good, bad))
    assert (first.argmax(axis=1) != second.argmax(axis=1)).mean() > 0.9


def test_simulated_time_passes_only_where_it_is_let():
    clock = SimulatedClock()
    begin, steady, servers = clock.now(), clock.steady(), clock.of_servers()
    assert servers.now() == begin
    clock.advance(7_200.0)
    assert (clock.now() - begin, clock.steady() - steady, servers.now() - begin) == (7_200.0, 7_200.0, 7_200.0)
    assert SimulatedClock().now() == begin


def play(folder):
    """The demo in a process of its own: its folder, its lines, and the processor time that it took."""
    command = [sys.executable, "-m", "rl_eval.cli", "production", "demo", "--folder", str(folder)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=3_000
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return folder, ended.stdout.splitlines(), spent


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    return play(tmp_path_factory.mktemp("demo") / "first")


@pytest.mark.verify
def test_the_demo_takes_less_than_three_minutes(played):
    """By processor time, which other work on the machine does not change; on an idle one it takes no longer."""
    assert played[2] < 150


@pytest.mark.verify
def test_the_demo_tells_its_turns_in_order_and_the_right_way(played):
    folder, _, _ = played
    events = [(entry.event, entry.facts) for entry in audit_tail(folder / "production" / "audit.jsonl", 200)][::-1]
    names = [name for name, _ in events if name in ("begin", "advance", "fill", "complete", "roll_back")]
    promoted = ["begin", "advance", "fill", "complete"]
    assert names == [*promoted, *promoted, "begin", "roll_back"]
    assert [facts["kind"] for name, facts in events if name == "trigger"] == ["daily", "drift"]
    assert [facts["decision"] for name, facts in events if name == "proof"] == ["PASS", "PASS"]
    assert sum(name == "override" for name, _ in events) == 3
    with open_parts(load_config(folder / "production.yaml")) as parts:
        assert parts.registry.aliases() == {"champion": 3}
        looks = parts.store.document("evidence").body["looks"]
        improvement = parts.store.document("improvement").body["champions"]
        (first, second) = (parts.registry.version(number).lineage.verdict["proof"] for number in (2, 3))
        reviews = review_queue.counts(parts.store)
    promotions = [look for look in looks if look["verdict"] == "promote" and look["difference"] is not None]
    assert all(look["difference"] > 0 for look in promotions)
    assert promotions[-1]["difference"] > 0.2  # on drifted traffic
    assert [look["difference"] < -0.5 for look in looks if look["verdict"] == "roll_back"] == [True]
    assert {finding["decision"] for finding in first["findings"]} == {"PASS", "NOT_CHECKED"}  # no earlier period
    assert {finding["part"] for finding in second["findings"]} == {
        "suite:demo-suite", "off_policy", "robustness", "forgetting", "transfer"
    }  # fmt: skip
    assert {finding["decision"] for finding in second["findings"]} == {"PASS"}
    assert second["figures"]["transfer"]["backward"] >= -0.02
    assert second["figures"]["off_policy"]["difference"]["low"] > 0
    assert [row["version"] for row in improvement] == [1, 2, 3]
    assert improvement[1]["difference"] < improvement[2]["difference"]
    assert improvement[2]["low"] > 0
    assert (reviews["waiting"], reviews["decided"]) == (47, 3)


@pytest.mark.verify
def test_the_page_of_the_demo_holds_the_figures_and_names_nobody(played):
    folder, _, _ = played
    page = (folder / "demo.html").read_text()
    for text in (
        "A day of traffic", "The traffic drifts", "The answer is rolled out", "A bad candidate", "People", "is whole",
        "bytes_out", "rolled back", "Improvement over time", "Version 3 serves",
    ):  # fmt: skip
        assert text in page, text
    assert re.search(r"forgetting</th><td>(<div>)?PASS", page)
    assert "<script" not in page
    units = re.compile(rb"(night|day|drifted)-[0-9]")  # as clients name people
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if units.search(path.read_bytes())] == []


@pytest.mark.verify
def test_the_same_seed_tells_the_same_story(played, tmp_path):
    first, second = ([line for line in lines if " is trained in " not in line and "page: " not in line]
                     for _, lines, _ in (played, play(tmp_path / "second")))  # fmt: skip
    assert len(first) > 15
    assert second == first
