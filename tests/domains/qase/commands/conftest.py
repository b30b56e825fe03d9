"""A project on the disk, a run that was trained on it, and the command."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl_eval import config as configs
from rl_eval.cli import main
from rl_eval.domains.qase.formats.json_export import write_json_export
from rl_eval.domains.qase.model.project import Case, CaseSuite, build_project
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train
from tests.domains.qase.commands.next_cycles import BIG, CYCLES, rows_of

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def disk(tmp_path_factory):
    """An export, the results of all cycles but the last, and of all: every cycle runs every case."""
    folder = tmp_path_factory.mktemp("qase")
    rng = np.random.default_rng(3)
    listed = [Case(id=i + 1, title=f"case {i}", suite_id=i % 3 + 1) for i in range(BIG)]
    project = build_project([CaseSuite(id=i, title=f"suite {i}") for i in (1, 2, 3)], listed, "here")
    (folder / "export.json").write_text(json.dumps(write_json_export(project)))
    lines = []
    for cycle in range(CYCLES):
        for case in listed:
            failed = case.id == 1 + cycle % BIG or rng.random() < case.id / 40
            times = {"start_time": 1.7e9 + 86_400 * cycle, "duration": 1000.0 * case.id + rng.integers(0, 99)}
            status = {"status": "failed" if failed else "passed", **times}
            lines.append(json.dumps({"run_id": cycle + 1, "title": "t", "testops_id": case.id, "execution": status}))
    (folder / "results.jsonl").write_text("\n".join(lines))
    (folder / "before.jsonl").write_text("\n".join(lines[:-BIG]))
    return folder


@pytest.fixture(scope="session")
def trained(disk):
    """A run of a second on all results."""
    directory = disk / "run"
    directory.mkdir()
    small = [
        "agent.n_envs=8",
        "agent.n_steps=32",
        "agent.batch_size=64",
        "log_every=1024",
        "validation.every=1024",
        "validation.episodes=2",
        "validation.trials=0",
    ]
    overrides = ["env=qase", "env.data=qase", f"env.path={disk}/export.json", f"env.results={disk}/results.jsonl"]
    config = configs.load(compose(ROOT / "conf", [*overrides, *small, "total_steps=2048"]))
    train(config, directory, tracker=open_tracker(config.tracker, run_dir=directory, config=config.to_dict()))
    return directory


@pytest.fixture
def run_prioritise(disk, tmp_path, monkeypatch, capsys):
    """`run_prioritise(arguments…)` -> status, stdout, stderr (one line), rows of the CSV; in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QASE_DATA_PATH", raising=False)

    def run(*arguments, results="before.jsonl"):
        options = ["qase", "prioritise", str(disk / "export.json"), *map(str, arguments)]
        status = main([*options, "--results", str(disk / results)] if results else options)
        output, file = capsys.readouterr(), tmp_path / "prioritised.csv"
        rows = rows_of(file.read_bytes().decode()) if file.exists() else None
        return status, output.out, " ".join(output.err.split()), rows

    return run
