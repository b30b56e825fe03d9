"""`docs/ci.md`, `action.yml` and the pre-commit hook: what they show works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "ci.md", ROOT / "docs" / "judge-your-own.md"
SUITE = """\
rl_eval: 1
env: cartpole
episodes: {min: 10, max: 60, return_bounds: [0, 500]}
criteria:
  falls: {metric: mean_return, at_most: 100, margin: 60}
controls: []
"""


def options_of(text):
    return set(re.findall(r"--rl-[a-z-]+", text))


def test_every_option_that_is_shown_exists(pytestconfig):
    (group,) = (group for group in pytestconfig._parser._groups if group.name == "rl_eval")
    known = {name for option in group.options for name in option.names()}
    shown = [page.read_text() for page in (*PAGES, ROOT / "docs" / "suites.md", ROOT / "action.yml")]
    assert options_of("".join(shown)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_are_yaml(page):
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    assert all(isinstance(yaml.safe_load(block), dict | list) for block in blocks)


def run(script, folder, **values):
    """A step of the action, with the values of its `env`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PYTEST_"))}
    env = {**clean, "PATH": path, "PYTHONPATH": str(ROOT), **values}
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=env, capture_output=True, text=True)


def test_the_action_judges_writes_the_page_and_passes_the_status_on(tmp_path):
    steps = {step["name"]: step for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]}
    (tmp_path / "a b.yaml").write_text(SUITE)
    inputs = {"SUITES": ".", "OPTIONS": "-q -p no:hypothesispytest", "FOLDER": "rl eval", "AGAINST": "random"}
    judge = steps["Judge"]["run"]
    assert set(steps["Judge"]["env"]) == {*inputs, "POLICY"}
    done = run(judge, tmp_path, **inputs, POLICY="constant:1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "falls_no_worse" in done.stdout
    assert run(steps["Write the page"]["run"], tmp_path, FOLDER="rl eval").returncode == 0
    assert {file.name for file in (tmp_path / "rl eval").iterdir()} == {
        "gate.xml",
        "gate.json",
        "gate.html",
        "badge.svg",
    }
    assert run(steps["Write the page"]["run"], tmp_path, FOLDER="nowhere").returncode == 0
    broken = SUITE.replace("at_most: 100", "at_most: 1")
    (tmp_path / "a b.yaml").write_text(broken)
    assert run(judge, tmp_path, **{**inputs, "AGAINST": ""}, POLICY="constant:1").returncode == 1


def test_the_hook_checks_a_suite_and_plays_nothing(tmp_path):
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert re.search(hook["files"], "suites/pole.yaml")
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "other.yaml").write_text("a: 1\n")
    (folder / "test_other.py").write_text("import nowhere\n")
    for text, status in ((SUITE, 0), (SUITE.replace("at_most", "at_mots"), 2)):
        (folder / "pole.yaml").write_text(text)
        done = run(f"{hook['entry']} {' '.join(hook['args'])}", tmp_path)
        assert done.returncode == status
        assert not (tmp_path / "outputs").exists()
    assert "did you mean 'at_most'?" in done.stdout
