from pathlib import Path

import pytest

from rl_eval import config as configs
from rl_eval.hydra_compose import compose
from rl_eval.tracking import open_tracker
from rl_eval.training import train

ROOT = Path(__file__).resolve().parents[2]
TINY = ["env=threat", "tuned=threat_ppo_online"]
TINY += ["env.train_flows=2000", "env.validation_flows=400", "env.test_flows=2000", "total_steps=8192"]
TINY += ["agent.n_envs=16", "agent.n_steps=32", "log_every=1024", "validation.every=4096", "validation.episodes=2"]


def train_run(directory, *overrides):
    """Train for a second, in this process."""
    config = configs.load(compose(ROOT / "conf", [*TINY, *overrides]))
    directory.mkdir(parents=True)
    tracker = open_tracker(config.tracker, run_dir=directory, config=config.to_dict())
    return train(config, directory, tracker=tracker)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """`good_<seed>` and `bad_<seed>`, seeds 1 to 5: the bad ones hardly learn."""
    folder = tmp_path_factory.mktemp("runs")
    for name, lr in (("good", "3e-3"), ("bad", "1e-6")):
        for seed in range(1, 6):
            train_run(folder / f"{name}_{seed}", f"seed={seed}", f"lr={lr}")
    return folder


@pytest.fixture
def run_names(trained, tmp_path, monkeypatch):
    """`run_names("good", 1, 2)` -> the directories of those runs; the ledger is in a temporary folder."""
    monkeypatch.chdir(tmp_path)
    return lambda kind, *seeds: [str(trained / f"{kind}_{seed}") for seed in seeds or range(1, 6)]
