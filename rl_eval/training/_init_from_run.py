"""Start a new run from the weights of another run: `init=RUN` or `init=RUN/snapshots/step_<n>`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import domains, run
from rl_eval.config import RunConfig
from rl_eval.dotted_keys import flatten
from rl_eval.envs.space_values import space_text
from rl_eval.errors import InputError
from rl_eval.exposure import FILE as EXPOSURE_FILE
from rl_eval.exposure import Exposure, read_exposure, read_exposure_of, view_width, write_exposure
from rl_eval.policy import Spaces, action_space_json
from rl_eval.untrusted_files import only_regular

# Of a run directory: a copy of the snapshot, and what its run has seen. The other run may be gone at a resume.
FOLDER = "init"
LINEAGE_KEYS = ("run", "snapshot", "sha256", "env_steps")
MAX_ANCESTORS = 10_000


@dataclass(frozen=True)
class InitialPolicy:
    """Weights, statistics and preprocessing that a new run takes from an earlier one.

    Attributes:
        arrays, meta: the policy of the snapshot, as `Agent.policy_checkpoint` gives it.
        exposure: what the earlier run was trained and validated on.
        lineage: its `run`, `snapshot`, `sha256` (of policy.safetensors) and `env_steps`; and under `lineage` the same
            of the runs before that one, the latest first.
    """

    arrays: dict[str, np.ndarray] = field(repr=False)
    meta: dict[str, Any] = field(repr=False)
    exposure: Exposure = field(repr=False)
    lineage: dict[str, Any]

    def require_spaces(self, spaces: Spaces) -> None:
        """Refuse an environment whose spaces are not those of the snapshot.

        Raises:
            InputError: names both.
        """
        shape, action = self.meta.get("obs_shape"), self.meta.get("action_space")
        if shape != list(spaces.observation.shape or ()) or action != action_space_json(spaces.action):
            shape = tuple(shape) if isinstance(shape, list) else shape
            raise InputError(
                f"init={self.lineage['run']} was trained on observations of shape {shape} and actions in {action}, "
                f"but this environment has {spaces.observation.shape} and {space_text(spaces.action)}: "
                "both must be the same"
            )

    def write(self, directory: Path) -> None:
        """Copy it into a new run."""
        run.write_checkpoint(directory / FOLDER, "policy", self.arrays, {**self.meta, "lineage": self.lineage})
        write_exposure(directory / FOLDER, self.exposure)


def read_copy(directory: Path) -> InitialPolicy | None:
    """The initial policy of a run, from its own copy; None if it started without `init=`.

    Raises:
        InputError: the copy is damaged or missing.
    """
    if run.read_run(directory).config.get("init") is None:
        return None
    arrays, meta = run.read_checkpoint(directory / FOLDER, "policy")
    record = read_exposure(directory / FOLDER)
    lineage = _lineage(meta.pop("lineage", None))
    if record is None or lineage is None:
        raise InputError(f"{directory / FOLDER} does not say what the run started from: it is damaged; train again")
    return InitialPolicy(arrays, meta, record, lineage)


def take_over(config: RunConfig) -> tuple[InitialPolicy | None, RunConfig, list[str]]:
    """The policy that `config.init` names, and the config with the preprocessing of its observations.

    Returns:
        The policy, or None without `init`; the config; and a sentence for each thing that could not be taken over.

    Raises:
        InputError: there is no such snapshot, the run has other files than its training wrote, or the config does not
            suit it; says what differs.
    """
    if config.init is None:
        return None, config, []
    before, snapshot = _find_snapshot(Path(config.init))
    arrays, meta = run.read_checkpoint(snapshot, "policy")
    _require_finite(snapshot, arrays, meta)
    _require_same_network(config, before)
    record = read_exposure_of(before)
    if record is None:
        raise InputError(
            f"init={before.path} has no {EXPOSURE_FILE}, which says what it was trained on: "
            f"finish it with `{run.resume_command(before.path)}`, or start from a finished run"
        )
    if record.cases != domains.domain(config.env.name).has_cases:
        raise InputError(f"init={before.path}: its {EXPOSURE_FILE} is from another kind of data: it is damaged")
    try:
        fitted = run.read_preprocessing(before)
        env = domains.domain(config.env.name).with_preprocessing(config.env, fitted)
    except InputError as error:
        raise InputError(f"init={before.path}: {error}") from error
    config = config.model_copy(update={"env": env})
    if not record.has_views(view_width(env)):
        raise InputError(f"init={before.path}: its {EXPOSURE_FILE} is of data with other fields: it is damaged")
    if not run.fits_config_file(config.to_dict()):
        raise InputError(f"init={before.path}: its preprocessing has too many fields to be kept in config.yaml")
    with open(snapshot / "policy.safetensors", "rb", opener=only_regular) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    lineage = {
        "run": str(before.path),
        "snapshot": snapshot.name,
        "sha256": digest,
        "env_steps": meta.get("env_steps"),
        "lineage": _ancestors(before.info.get("init")),
    }
    notices = []
    if (reason := _other_reward(config, before, meta)) is not None:
        meta.pop("reward_scale", None)
        notices.append(f"the statistics that scale rewards start from zero: {reason}")
    return InitialPolicy(arrays, meta, record, lineage), config, notices


def parent_run(path: Path) -> run.Run:
    """The run that a person named by its directory or by one of its snapshots.

    Raises:
        InputError: there is none.
    """
    if run.is_sweep(path):
        raise InputError(f"init={path} is a sweep: name one of its runs, such as {run.sweep_jobs(path)[0]}")
    return run.read_run(path.parent.parent if _names_snapshot(path) else path)


def _names_snapshot(path: Path) -> bool:
    return re.fullmatch("step_[0-9]+", path.name) is not None and path.parent.name == "snapshots"


def _find_snapshot(path: Path) -> tuple[run.Run, Path]:
    """The run and the snapshot that a person named by either."""
    before = parent_run(path)
    if _names_snapshot(path):
        if path.name not in [snapshot.name for snapshot in before.snapshots()]:
            names = ", ".join(snapshot.name for snapshot in before.snapshots()) or "none"
            raise InputError(f"init={path} does not exist: {before.path} has the snapshots {names}")
        return before, path
    return before, before.judged_snapshot()


def _require_finite(snapshot: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Refuse a snapshot that train.py did not write.

    Raises:
        InputError: a weight or a statistic is not a finite number.
    """
    scale = meta.get("reward_scale")
    scales = [] if scale is None else list(scale.values()) if isinstance(scale, Mapping) else [scale]
    broken = [name for name, array in arrays.items() if array.dtype.kind not in "fiub" or not np.isfinite(array).all()]
    broken += ["reward_scale" for value in scales if not isinstance(value, float | int) or not np.isfinite(value)]
    if broken:
        raise InputError(f"init={snapshot}: {broken[0]} is not finite: use another snapshot")


def _require_same_network(config: RunConfig, before: run.Run) -> None:
    """Refuse weights that mean something else in the new run.

    Raises:
        InputError: another environment, agent or network; names both.
    """
    values, agent = config.to_dict()["agent"], before.config.get("agent")
    agent = agent if isinstance(agent, Mapping) else {}
    for group, before_value, new_value in (
        ("env", before.config["env"].get("name"), config.env.name),
        ("agent", agent.get("name"), config.agent.name),
    ):
        if before_value != new_value:
            raise InputError(
                f"init={before.path} is a run of {group}={before_value}, but this would be a run of {group}={new_value}"
            )
    before_value, new_value = (
        flatten({key: settings.get(key) for key in config.agent.weight_keys}) for settings in (agent, values)
    )
    for key in {**new_value, **before_value}:
        if before_value.get(key) != new_value.get(key):
            raise InputError(
                f"init={before.path} was trained with agent.{key}={before_value.get(key)}, but here it would be "
                f"{new_value.get(key)}: its weights only fit the same value"
            )


def _other_reward(config: RunConfig, before: run.Run, meta: Mapping[str, Any]) -> str | None:
    """Why the statistics that scale rewards cannot be taken over; None if they can, or where none are used."""
    values = config.to_dict()
    if not values["agent"].get("normalize_reward"):
        return None
    if meta.get("reward_scale") is None:
        return f"{before.path} has none"
    if values["reward"] != before.config.get("reward"):
        return f"the reward differs from {before.path}"
    if values["agent"]["gamma"] != before.config["agent"].get("gamma"):
        return f"agent.gamma differs from {before.path}"
    return None


def _lineage(value: Any) -> dict[str, Any] | None:
    """The checked entry of a run about the run that it started from; None if it has no valid one."""
    if not isinstance(value, Mapping) or not all(key in value for key in LINEAGE_KEYS):
        return None
    ancestors = value.get("lineage")
    rows = ancestors[:MAX_ANCESTORS] if isinstance(ancestors, list) else []
    parent = {key: value[key] for key in LINEAGE_KEYS}
    return {
        **parent,
        "lineage": [{key: row.get(key) for key in LINEAGE_KEYS} for row in rows if isinstance(row, Mapping)],
    }


def _ancestors(value: Any) -> list[dict[str, Any]]:
    """The run that a run started from, and those before it, the latest first."""
    lineage = _lineage(value)
    if lineage is None:
        return []
    ancestors: list[dict[str, Any]] = lineage.pop("lineage")
    return [lineage, *ancestors]
