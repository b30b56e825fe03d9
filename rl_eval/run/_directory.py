"""Run directories: `run.json`, `config.yaml` and the snapshots of one run, read with limits.

A run directory may come from anyone. Nothing in it is executed, no link out of it is followed, and large files are not
read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from rl_eval.domains import EnvConfig, validate
from rl_eval.errors import InputError
from rl_eval.override_text import override, training_command
from rl_eval.run._checkpoint import step_directories
from rl_eval.run._files import read_json, refuse_link
from rl_eval.untrusted_files import load_yaml, only_regular
from rl_eval.validation_errors import yaml_sentence

# Settings of a run that change neither what it learns nor how.
INCIDENTAL_KEYS = ("name", "resume", "tracker", "judge", "replay", "launcher")
INCIDENTAL_HARDWARE = ("devices", "machine", "prices", "budget")  # of `hardware`
STATUSES = ("running", "finished", "failed", "interrupted", "over_budget")
MAX_CONFIG_BYTES = 256 << 10
MAX_CONFIG_VALUES = 5_000  # every element of a list counts
MAX_KEY_LENGTH = 200


def config_hash(config: Mapping[str, Any]) -> str:
    """A hash of the settings that decide the bytes of a policy."""
    return hashlib.sha256(json.dumps(deciding_settings(config), sort_keys=True, default=str).encode()).hexdigest()


def deciding_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide the bytes of a policy: without `INCIDENTAL_KEYS` and `INCIDENTAL_HARDWARE`."""
    deciding = {key: value for key, value in config.items() if key not in INCIDENTAL_KEYS}
    if isinstance(hardware := deciding.get("hardware"), Mapping):
        deciding["hardware"] = {key: value for key, value in hardware.items() if key not in INCIDENTAL_HARDWARE}
    return deciding


def resume_command(path: Path) -> str:
    """The shell command that resumes a run."""
    return training_command([override("resume", path)])


@dataclass(frozen=True)
class Run:
    """A run directory: `info` is `run.json`, `config` is `config.yaml`."""

    path: Path
    info: dict[str, Any] = field(repr=False)
    config: dict[str, Any] = field(repr=False)

    @property
    def finished(self) -> bool:
        """Whether training ended normally."""
        return self.info["status"] == "finished"

    def snapshots(self) -> list[Path]:
        """The snapshots, oldest first."""
        return step_directories(self.path / "snapshots")

    def judged_snapshot(self) -> Path:
        """The snapshot that gates judge: the best on the validation part, else the last.

        Raises:
            InputError: the run has none, or its `config.yaml` is not what it was trained with.
        """
        self._require_own_config()
        name = self.info.get("snapshot")
        snapshots = self.snapshots()
        if name is not None:
            for snapshot in snapshots:
                if snapshot.name == name:
                    return snapshot
            raise InputError(f"{self.path} names {name!r} as its policy, but has no such snapshot: train again")
        if not snapshots:
            raise InputError(f"{self.path} has no snapshot: continue training with `{resume_command(self.path)}`")
        return snapshots[-1]

    @property
    def has_own_config(self) -> bool:
        """Whether `config.yaml` says what `run.json` says the run was trained with; True if that is not recorded."""
        recorded = self.info.get("config_hash")
        return recorded is None or recorded == config_hash(self.config)

    def _require_own_config(self) -> None:
        if not self.has_own_config:
            raise InputError(
                f"{self.path / 'config.yaml'} is not what the run was trained with (its hash is not the one in "
                "run.json): it was edited, or is from another run: put it back as it was, or train again"
            )


def read_run(path: Path | str) -> Run:
    """Read a run directory.

    Raises:
        InputError: it does not exist or is not a run, or its files are damaged, links, or too large.
    """
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path} is not a directory: name a run directory, such as outputs/<date>/<run>")
    if not (path / "run.json").is_file() or not (path / "config.yaml").is_file():
        raise InputError(
            f"{path} is not a run directory (it has no run.json and config.yaml): "
            "name one that train.py made, such as outputs/<date>/<run>"
        )
    return Run(path, read_info(path), _read_config(path / "config.yaml"))


def read_info(path: Path) -> dict[str, Any]:
    """Only the `run.json` of a run directory.

    Raises:
        InputError: it is missing, a link, damaged or too large, or has a status that does not exist.
    """
    refuse_link(path / "run.json")
    info = read_json(path / "run.json")
    if info.get("status") not in STATUSES:
        raise InputError(f"{path / 'run.json'} has status {info.get('status')!r}, not one of {', '.join(STATUSES)}")
    return info


def _read_config(file: Path) -> dict[str, Any]:
    refuse_link(file)
    if file.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"{file} is larger than {MAX_CONFIG_BYTES >> 10} KiB, so it is not the config of a run")
    try:
        with open(file, encoding="utf-8", opener=only_regular) as opened:
            _, config = load_yaml(opened.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}): it is damaged or from another program") from error
    except yaml.YAMLError as error:
        line, sentence = yaml_sentence(error)
        raise InputError(
            f"{file}{f':{line}' if line else ''}: {sentence}: it is damaged or from another program"
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("env"), dict):
        raise InputError(f"{file} has no `env:` section: it is damaged or from another program")
    _check_value_count(config, file)
    if not isinstance(config.get("seed", 0), int | None):
        raise InputError(f"{file}: the seed is not a whole number: it is damaged or from another program")
    return config


def fits_config_file(config: Mapping[str, Any]) -> bool:
    """Whether a config, once it is written, is small enough to be read again."""
    try:
        _check_value_count(config, Path("config.yaml"))
    except InputError:
        return False
    return len(yaml.safe_dump(dict(config), sort_keys=False).encode()) <= MAX_CONFIG_BYTES


def _check_value_count(config: Mapping[Any, Any], file: Path) -> None:
    """Refuse a config that a few lines of YAML have made large with aliases, or that contains itself."""
    count = 0
    stack: list[Any] = [config]
    while stack:
        values = stack.pop()
        keys = list(values) if isinstance(values, Mapping) else []
        if not all(isinstance(key, str) for key in keys):
            raise InputError(f"{file} has a key that is not text: it is not the config of a run")
        count += len(values)
        if count > MAX_CONFIG_VALUES or any(len(key) > MAX_KEY_LENGTH for key in keys):
            raise InputError(
                f"{file} has more than {MAX_CONFIG_VALUES:,} values, or keys too long: it is not the config of a run"
            )
        children = values.values() if isinstance(values, Mapping) else values
        stack += [child for child in children if isinstance(child, Mapping | list | tuple)]


def find_runs(outputs: Path) -> tuple[list[Run], list[str]]:
    """Every readable run below a folder, oldest first by the time it started.

    Returns:
        The runs, and one sentence for each that was passed over since it cannot be read.
    """
    runs, passed_over = [], []
    for file in sorted(outputs.glob("**/run.json")):
        if not (file.parent / "config.yaml").exists():
            continue  # half-written, or of another program
        try:
            runs.append(read_run(file.parent))
        except InputError as error:
            passed_over.append(str(error))
    return sorted(runs, key=lambda run: str(run.info.get("started", ""))), passed_over


def environment_of(run: Run) -> EnvConfig:
    """The checked environment that a run was trained on.

    Raises:
        InputError: this version does not know it.
    """
    try:
        return validate(run.config["env"])
    except ValidationError as error:
        location = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InputError(
            f"{run.path / 'config.yaml'} has an environment that this version does not know (env.{location}): "
            "train again"
        ) from error
