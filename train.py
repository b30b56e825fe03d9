"""Train a reinforcement-learning agent, judge it, and say how it did: compose, learn, judge.

python train.py agent=ppo env=threat
python train.py agent=ppo env=threat -m lr=3e-4,1e-3
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from rl_eval.launch import launch

ROOT = Path(__file__).resolve().parent


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(composed: DictConfig) -> None:
    """One job: learn, then judge by every suite of the environment."""
    from hydra.core.hydra_config import HydraConfig

    from rl_eval import job

    directory = Path(HydraConfig.get().runtime.output_dir)
    sweep = directory.parent if HydraConfig.get().mode.name == "MULTIRUN" else None
    job.run(OmegaConf.to_container(composed, resolve=True), directory, sweep=sweep, suites=ROOT / "suites")


if __name__ == "__main__":
    sys.exit(launch(ROOT / "conf", sys.argv[1:], main))
