"""The configs of production, and the demo from its first line to its page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from rl_eval import domains, gates
from rl_eval import run as run_files
from rl_eval.production.config import ProductionConfig, load_config
from rl_eval.production.demo.demo import worst_of
from rl_eval.serving.source import load

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf" / "production"


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


@pytest.mark.verify
def test_the_demo_ends_with_a_page_that_tells_it(tmp_path):
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "rl_eval.cli", "production", "demo", "--folder", str(folder)]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=900
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    page = (folder / "demo.html").read_text()
    for title in ("Served and collected", "Drift, training and proof", "Rolled out", "A bad candidate", "People"):
        assert title in page
    assert "is whole" in page
    assert "rolled back" in page
    assert re.search(r"forgetting</th><td>PASS", page)
    assert "<script" not in page
    units = re.compile(rb"period[12]-[0-9]")  # as clients name people
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if units.search(path.read_bytes())] == []
