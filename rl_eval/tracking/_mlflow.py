"""MLflow: the server that `MLFLOW_TRACKING_URI` names, else `mlflow.db` in the working directory, MLflow's default."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import filelock
from pydantic import Field

from rl_eval.dotted_keys import flatten
from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.formatting import mask_url
from rl_eval.net import accepts_connections
from rl_eval.run import write_text
from rl_eval.tracking._plots import Plot
from rl_eval.tracking.plugin import TrackedRun, TrackerPlugin, TrackerSettings

DEFAULT_EXPERIMENT = "rl_eval"
DATABASE = "mlflow.db"  # MLflow's own name for it: `mlflow ui` shows it without an option
RUN_ID_FILE = Path("mlflow", "run_id")  # in the run directory: a resumed run continues its MLflow run
CONNECT_TIMEOUT = 3.0  # seconds to find out whether the server can be reached
LOCK_TIMEOUT = 600.0  # seconds that another job may take to make the tables
MAX_BATCH = 100  # params and tags that MLflow takes in one request; it takes 1,000 metrics
MAX_PARAM_LENGTH, MAX_TAG_LENGTH, MAX_NAME_LENGTH = 6_000, 5_000, 250
STEPS = "env_steps"
STATUSES = {"finished": "FINISHED", "interrupted": "KILLED"}
_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")


class MlflowSettings(TrackerSettings):
    """`tracker: {name: mlflow}`. The keys are those of `conf/tracker/mlflow.yaml`."""

    name: Literal["mlflow"] = "mlflow"
    experiment: Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)] | None = None
    finish_timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 60.0


def check(settings: MlflowSettings) -> None:
    """Check that the packages are installed.

    Raises:
        InputError: one is not.
    """
    require_extra("mlflow", "tracker=mlflow", "mlflow", "sqlalchemy", "alembic")


def start(settings: MlflowSettings, run: TrackedRun) -> MlflowTracker:
    """Create the MLflow run, or go on with that of a resumed run.

    Raises:
        InputError: the server cannot be reached.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / DATABASE}"
    if urlsplit(uri).scheme in ("http", "https") and not accepts_connections(uri, CONNECT_TIMEOUT):
        raise InputError(f"{mask_url(uri)} cannot be reached")
    with _one_at_a_time(uri):
        client = _client(uri)  # it makes the tables of a new database
        experiment = _experiment(client, settings.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME"))
    earlier = _earlier_run(client, run.directory / RUN_ID_FILE)
    if earlier is not None:
        client.update_run(earlier.info.run_id, status="RUNNING")
        logged = earlier.data.metrics.get(STEPS, -1.0)
        return MlflowTracker(client, earlier.info.run_id, logged_steps=int(logged))
    tags = {"run_directory": str(run.directory.absolute()), **({"sweep": run.group} if run.group else {})}
    name = str(run.config.get("name") or run.directory.name)[:MAX_NAME_LENGTH]
    created = client.create_run(experiment, run_name=name, tags=_tags(tags))
    (run.directory / RUN_ID_FILE).parent.mkdir(exist_ok=True)
    write_text(run.directory / RUN_ID_FILE, created.info.run_id + "\n")
    tracker = MlflowTracker(client, created.info.run_id)
    tracker.log_config(run.config)
    return tracker


class MlflowTracker:
    """One MLflow run.

    Args:
        client: a `MlflowClient`.
        logged_steps: rows up to here were logged before the run was resumed; the same rows again are left out.
    """

    def __init__(self, client: Any, run_id: str, logged_steps: int = -1):
        from mlflow import entities

        self._client, self._run_id, self._entities = client, run_id, entities
        self._logged_steps = logged_steps
        self._env_steps = max(0, logged_steps)

    def log_config(self, config: Mapping[str, Any]) -> None:
        """The config as params with dotted keys."""
        values = {_name(key): str(value)[:MAX_PARAM_LENGTH] for key, value in flatten(config).items()}
        params = [self._entities.Param(key, value) for key, value in values.items()]
        for first in range(0, len(params), MAX_BATCH):
            self._client.log_batch(self._run_id, params=params[first : first + MAX_BATCH])

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """The finite values of a row as metrics at `env_steps`."""
        if env_steps <= self._logged_steps:
            return
        self._env_steps = env_steps
        self._log_metrics({**row, STEPS: env_steps})

    def summary(self, values: Mapping[str, Any]) -> None:
        """Numbers as metrics at the last logged step, and text as tags."""
        flat = flatten(values, "/")
        self._log_metrics({key: value for key, value in flat.items() if isinstance(value, int | float)})
        tags = _tags({key: value for key, value in flat.items() if isinstance(value, str)})
        entities = [self._entities.RunTag(key, value) for key, value in tags.items()]
        for first in range(0, len(entities), MAX_BATCH):
            self._client.log_batch(self._run_id, tags=entities[first : first + MAX_BATCH])

    def log_plots(self, plots: Sequence[Plot]) -> None:
        """Ignored: the report, which is an artifact of the run, has these plots."""

    def log_files(self, kind: str, files: Mapping[str, Path]) -> None:
        """Artifacts of the run, in a folder named `kind`."""
        for name, path in files.items():
            folder = Path(kind, name).parent.as_posix()
            self._client.log_artifact(self._run_id, str(path), folder)

    def close(self, status: str) -> None:
        """End the MLflow run."""
        self._client.set_tag(self._run_id, "status", status)
        self._client.set_terminated(self._run_id, STATUSES.get(status, "FAILED"))

    def _log_metrics(self, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(_name(key), float(value), now, self._env_steps)
            for key, value in values.items()
            if math.isfinite(value)
        ]
        self._client.log_batch(self._run_id, metrics=metrics)


def _client(uri: str) -> Any:
    # set before MLflow is first imported: it would report to its makers what is called
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # what fails is raised
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """MLflow makes the tables of a file without a lock, which fails where several jobs of a sweep begin at once."""
    scheme, _, path = uri.partition(":///")
    if scheme != "sqlite" or not path or path == ":memory:":
        yield
        return
    with filelock.FileLock(f"{path}.lock", timeout=LOCK_TIMEOUT):
        yield


def _experiment(client: Any, name: str | None) -> str:
    """The id of an experiment, created where it does not exist."""
    name = name or DEFAULT_EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except Exception:  # another job of a sweep may have created it on the server meanwhile
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)


def _earlier_run(client: Any, file: Path) -> Any:
    """The MLflow run that a run directory names; None if there is none here."""
    try:
        run_id = file.read_text(encoding="utf-8")[:64].strip()
    except (OSError, UnicodeDecodeError):
        return None
    if not re.fullmatch("[0-9a-f]{32}", run_id):
        return None
    try:
        return client.get_run(run_id)
    except Exception:  # another server, or the run was deleted
        return None


def _name(name: str) -> str:
    """A name that MLflow takes."""
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_LENGTH]


def _tags(values: Mapping[str, str]) -> dict[str, str]:
    return {_name(key): value[:MAX_TAG_LENGTH] for key, value in values.items()}


PLUGIN = TrackerPlugin(
    settings=MlflowSettings, start=start, check=check, timeout=lambda settings: settings.finish_timeout
)
