"""Run directories written by hand, without training."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rl_eval import domains
from rl_eval.exposure import Exposure, Fingerprints, write_exposure
from rl_eval.run import FILES_SHA256, Run, file_sha256, read_json, read_run, write_checkpoint, write_json

_CLOCK = itertools.count()

# A linear rule that keeps CartPole up for its 500 steps, and one that falls at once.
BALANCE = np.array([0.02, 0.1, 1.0, 0.5])
FALL = np.array([0.0, 0.0, -1.0, 0.0])


def write_run(
    directory: Path,
    env: str | dict[str, Any] = "cartpole",
    *,
    seed: int = 1,
    rule: np.ndarray = BALANCE,
    bias: tuple[float, ...] = (0.0, 0.0),
    status: str = "finished",
    agent: str = "ppo",
    config: dict[str, Any] | None = None,
    info: dict[str, Any] | None = None,
    record: bool = True,
) -> Run:
    """A run whose policy takes the action with the largest of `rule @ obs` (for action 1) plus `bias` `[A]`.

    Args:
        record: whether it has a `seen.npz`.
    """
    checked = domains.validate({"name": env} if isinstance(env, str) else env)
    settings = {
        "seed": seed,
        "lr": None,
        "total_steps": 100,
        "name": None,
        "validation": {"metric": "mean_return"},
        "agent": {"name": agent, "lr": 1e-3},
        "env": checked.model_dump(mode="json"),
        "tracker": {"name": "none"},
        **(config or {}),
    }
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(settings))
    results = {"mean": 9.0, "std": 0.5, "min": 8.0, "max": 10.0, "mean_return": 9.0}
    values = {
        "status": status,
        "reason": "loss is not finite" if status == "failed" else None,
        "started": f"2026-01-01T00:00:{next(_CLOCK):09d}",
        "env_steps": 100,
        "steps_finished": 80,
        "steps_in_flight": 15,
        "steps_cut": 5,
        "wall_s": 2.5,
        "snapshot": "step_100",
        "validation_score": 9.0,
        "results": results,
        "cases": _cases(checked),
        "episodes": 0,
        "data_fingerprints": _fingerprints(checked),
        **(info or {}),
    }
    write_json(directory / "run.json", values)
    if record and status == "finished" and (exposure := _exposure(checked)) is not None:
        write_exposure(directory, exposure)
    record_files(directory)
    (directory / "metrics.csv").write_text("env_steps,wall_s\n50,1.0\n100,2.5\n")
    weights = np.zeros((len(rule), len(bias)))
    weights[:, 1] = rule
    envs_ = domains.make(checked, n_envs=1, part="test", autoreset=False)
    meta = {
        "agent": "fake",
        "env": checked.name,  # type: ignore[attr-defined]
        "obs_shape": list(envs_.single_observation_space.shape),
    }
    envs_.close()
    arrays = {"weights": weights, "bias": np.array(bias)}
    write_checkpoint(directory / "snapshots" / "step_100", "policy", arrays, meta)
    return read_run(directory)


def record_files(directory: Path) -> Run:
    """Have `run.json` record the files that gates check as they are now."""
    names = [name for name in ("preprocessing.json", "seen.npz") if (directory / name).is_file()]
    values = read_json(directory / "run.json")
    write_json(
        directory / "run.json", {**values, FILES_SHA256: {name: file_sha256(directory / name) for name in names}}
    )
    return read_run(directory)


def _exposure(env: Any) -> Exposure | None:
    """The record of a run that was trained on its cases, or that played no episode."""
    none = np.empty(0, np.int64)
    if not domains.domain(env.name).has_cases:
        return Exposure(False, Fingerprints.empty(), Fingerprints.empty(), none, none)
    return None if _cases(env) is None else Exposure.of_cases(env, none)


def _fingerprints(env: Any) -> dict[str, str] | None:
    domain = domains.domain(env.name)
    if domain.has_cases and _cases(env) is None:
        return None
    return dict(domain.fingerprints(env)) or None


def _cases(env: Any) -> dict[str, int] | None:
    domain = domains.domain(env.name)
    if not domain.has_cases or (getattr(env, "data", "synthetic") != "synthetic" and env.path is None):
        return None
    return {part: len(domain.case_hashes(env, part)) for part in ("train", "validation")}  # type: ignore[arg-type]


def write_suite(path: Path, text: str) -> Path:
    """A suite file; `text` is indented as in the tests."""
    import textwrap

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path
