"""Train a reinforcement-learning agent, then judge it by the suites of its environment.

python train.py agent=ppo env=threat
python train.py agent=ppo env=threat -m lr=3e-4,1e-3
"""

import sys

try:
    from pathlib import Path
    from typing import Any

    from rl_eval.launch import launch
except KeyboardInterrupt:  # before signals are heard
    sys.exit(130)

ROOT = Path(__file__).resolve().parent


def main(composed: Any) -> None:
    """One job: train, then judge by every suite of the environment."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from rl_eval import job

    values: Any = OmegaConf.to_container(composed, resolve=True)
    # Not resolved: a path that holds ${...} is one that has been resolved already.
    runtime: Any = OmegaConf.to_container(HydraConfig.get().runtime, resolve=False)
    directory = _short(runtime["output_dir"])
    sweep = directory.parent if HydraConfig.get().mode == RunMode.MULTIRUN else None
    job.run(values, directory, sweep=sweep, suites=_short(ROOT / "suites"))


def _short(path: str | Path) -> Path:
    """The path relative to the working directory if it is below it, as a person would type it."""
    path = Path(path)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def run_with_hydra() -> None:
    """The jobs of the command line."""
    import hydra  # here, since `launch` says in one sentence where it is missing

    hydra.main(version_base="1.3", config_path="conf", config_name="config")(main)()


if __name__ == "__main__":
    sys.exit(launch(ROOT, sys.argv[1:], run_with_hydra))
