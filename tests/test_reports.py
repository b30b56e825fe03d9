"""docs/reports.md: every wish has an answer, and every command that shows one works."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rl_eval import config as configs
from rl_eval import dry_run
from rl_eval.cli import main
from rl_eval.gates import load_suite
from rl_eval.hydra_compose import compose
from rl_eval.production.audit import AuditLog
from tests.domains.qase.qase_api import EXPORT, RESULTS
from tests.redis_process import RedisProcess
from tests.training.learn import learn

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reports.md"
ROW = re.compile(r"^\| (?P<wish>.+?) \| (?P<status>built|changed|not built) \| (?P<answer>.+) \|$")
COMMAND = re.compile(r"`((?:QASE_DATA_PATH=\S+ )?(?:python train\.py|rl-eval|pytest|npm) [^`]+)`")
WAITS = ("rl-eval serve RUN", "rl-eval serve onnx:", "rl-eval webtest review", "rl-eval production watch")
LONG = (
    "python train.py env=qase env.mode=live",
    "rl-eval production demo",
    "rl-eval production abort",
    "rl-eval tune",
    "rl-eval verify",
    "pytest",
    "npm",
)
OTHERS = ("env.encoder=endpoint",)  # they need a server of somebody else


def rows():
    return [match for match in map(ROW.match, PAGE.read_text(encoding="utf-8").splitlines()) if match]


def needs_others(command):
    return any(other in command for other in OTHERS)


def commands():
    """Each command once, in the order of the page; the name of a group of commands is none."""
    return list(dict.fromkeys(command for row in rows() for command in COMMAND.findall(row["answer"])))


TRAININGS = [command for command in commands() if command.startswith("python train.py") and not needs_others(command)]
OWN = [command for command in commands() if not command.startswith(("python train.py", *WAITS))]
SHORT = [command for command in OWN if not command.startswith(LONG)]


def test_every_row_has_an_answer_and_what_is_built_has_a_command():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    headers = [line for line in lines if line == "| wish | status | command or reason |"]
    assert len(lines) == len(rows()) + len(headers)
    assert len(headers) == 5
    without = [row["wish"] for row in rows() if row["status"] == "built" and not COMMAND.search(row["answer"])]
    assert without == []


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A working directory with a short run and an export of Qase, and what the words in capitals stand for."""
    folder = tmp_path_factory.mktemp("reports")
    overrides = ["env=threat", "agent=ppo", "total_steps=4096", "validation.every=4096", "validation.episodes=2"]
    learn(overrides, folder / "run")
    (folder / "export.json").write_text(json.dumps(EXPORT))
    (folder / "results").mkdir()
    (folder / "results" / "results.json").write_text(json.dumps({"results": RESULTS}))
    AuditLog(folder / "audit.jsonl").append("verdict", "a test", {"decision": "PASS"})
    for name in ("conf", "deploy", "suites"):
        (folder / name).symlink_to(ROOT / name)
    return folder, {"RUN": "run", "EXPORT": "export.json", "RESULTS": "results", "URL": "http://127.0.0.1:9/v1"}


def arguments(command, names):
    """A command as a list, with the words in capitals filled in, and the environment variables before it."""
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    filled = [re.sub(r"\b[A-Z]+\b", lambda name: names.get(name[0], name[0]), word) for word in words[len(variables) :]]
    return filled, {name: names.get(value, value) for name, value in variables.items()}


@pytest.mark.parametrize("command", [command for command in TRAININGS if not command.startswith(LONG)])
def test_what_a_training_command_names_exists_and_works_together(command, places, monkeypatch):
    """It takes a step of the environment, with reward, agent and metric; `make verify` trains."""
    folder, names = places
    monkeypatch.chdir(folder)
    overrides = [word for word in arguments(command, names)[0][2:] if word != "-m"]
    single = [re.sub(r"^(seed)=(\d+),.*", r"\1=\2", word) for word in overrides]
    dry_run.dry_run(configs.load(compose(ROOT / "conf", single)))


@pytest.mark.parametrize("command", SHORT)
def test_a_short_command_ends_well(command, places, monkeypatch, capsys):
    folder, names = places
    monkeypatch.chdir(folder)
    words, variables = arguments(command, names)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(words[1:]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


def run(words, folder, **variables):
    """A command in a folder, as a person would type it; returns the finished process."""
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=1800, env={**os.environ, **variables}
    )


def ends_well(done, *allowed):
    assert done.returncode in (0, *allowed), done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.verify
@pytest.mark.parametrize("command", TRAININGS)
def test_a_training_command_trains(command, places, tmp_path):
    folder, names = places
    words, _ = arguments(command, {**names, "RUN": str(folder / "run")})
    sweep = "hydra.sweep.dir" if "-m" in words else "hydra.run.dir"
    short = ["judge=off", "validation.every=100000", "validation.episodes=2", f"{sweep}={tmp_path / 'out'}"]
    short += [] if any(word.startswith("total_steps=") for word in words) else ["total_steps=6000"]
    command_line = [sys.executable, str(ROOT / "train.py"), *words[2:], *short]
    if "7000" not in command:
        ends_well(run(command_line, tmp_path))
        return
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisProcess(tmp_path)
    try:
        ends_well(run([word.replace("7000", str(server.port)) for word in command_line], tmp_path))
    finally:
        server.kill()


@pytest.mark.verify
@pytest.mark.parametrize("command", [command for command in OWN if command.startswith(LONG)])
def test_a_long_command_ends_well(command, places, tmp_path):
    folder, names = places
    words, _ = arguments(command, {**names, "RUN": str(folder / "run")})
    if words[0] == "npm":
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed")
        ends_well(run(words, ROOT))
    elif words[0] == "pytest":
        env = load_suite(ROOT / words[1]).env.name
        short = ["total_steps=6000", "validation.every=100000", "judge=off", f"hydra.run.dir={tmp_path / 'run'}"]
        agent = "dqn" if env == "webtest" else "ppo"
        ends_well(run([sys.executable, str(ROOT / "train.py"), f"env={env}", f"agent={agent}", *short], tmp_path))
        words, _ = arguments(command, {**names, "RUN": str(tmp_path / "run")})
        ends_well(
            run([sys.executable, "-m", "pytest", str(ROOT / words[1]), *words[2:]], tmp_path), 1
        )  # 1: criteria fail, as they should after so little training
    elif "abort" in words:
        # 2: no roll-out is under way
        ends_well(run([sys.executable, "-m", "rl_eval.cli", *words[1:]], ROOT), 2)
    else:
        ends_well(run([sys.executable, "-m", "rl_eval.cli", *words[1:]], tmp_path))
