"""Weights & Biases: online with a key and a network, else offline with a message that says how to upload later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from rl_eval.dotted_keys import flatten
from rl_eval.errors import InputError
from rl_eval.extras import require_extra
from rl_eval.formatting import mask_url
from rl_eval.net import accepts_connections
from rl_eval.override_text import shell_word
from rl_eval.tracking._background import warn
from rl_eval.tracking._plots import LinePlot, Plot
from rl_eval.tracking.plugin import TrackedRun, TrackerPlugin, TrackerSettings

DEFAULT_PROJECT = "rl_eval"
CONNECT_TIMEOUT = 3.0  # seconds to find out whether the server can be reached
INIT_TIMEOUT = 10.0  # seconds that W&B may take to register the run
START_TIMEOUT = CONNECT_TIMEOUT + 2 * INIT_TIMEOUT  # the longest start: unreachable, then offline
MAX_NAME_LENGTH = 128  # W&B refuses longer run and group names
CONFUSION_CHART = "wandb/confusion_matrix/v1"
ARTIFACT_TYPES = {"policy": "model"}  # W&B shows artifacts of this type on a page of their own
EXIT_CODES = {"finished": 0, "interrupted": 130}


# W&B refuses longer tags, but only after the run has started.
Tag = Annotated[str, Field(min_length=1, max_length=64)]


class WandbSettings(TrackerSettings):
    """`tracker: {name: wandb}`. The keys are those of `conf/tracker/wandb.yaml`."""

    name: Literal["wandb"] = "wandb"
    project: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    entity: Annotated[str, Field(min_length=1)] | None = None
    tags: tuple[Tag, ...] = ()
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"
    finish_timeout: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 30.0


def check(settings: WandbSettings) -> None:
    """Check the package and the key.

    Raises:
        InputError: the package is missing, or `mode: online` without an API key.
    """
    require_extra("wandb", "tracker=wandb", "wandb")
    if settings.mode == "online" and (problem := _key_problem(_global_settings().base_url)):
        raise InputError(f"tracker.mode=online, but {problem}: `wandb login`, or tracker.mode=offline and sync later")


def start(settings: WandbSettings, run: TrackedRun) -> WandbTracker:
    """Register the run with W&B; offline where online does not work."""
    mode, reason = _mode(settings)
    arguments = _init_arguments(settings, run, online=mode == "online")
    try:
        wandb_run = _init(arguments, mode)
    except Exception as error:
        if mode == "offline":
            raise
        lines = [line for line in str(error).splitlines() if line and line != "<no message>"]
        reason = f"W&B did not take the run ({lines[0].rstrip('.') if lines else 'the server refused it'})"
        wandb_run = _init(arguments, "offline")
    folder = _relative(Path(wandb_run.settings.sync_dir))
    if reason:
        warn("wandb", f"{reason}, so the run is recorded offline; upload it later with {_sync_command(folder)}")
    elif mode == "offline":
        warn("wandb", f"the run is recorded offline; upload it later with {_sync_command(folder)}")
    return WandbTracker(wandb_run, folder)


class WandbTracker:
    """One W&B run."""

    def __init__(self, run: Any, folder: Path):
        self._run, self._folder = run, folder

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """A row of history."""
        self._run.log({**row, "env_steps": env_steps})

    def summary(self, values: Mapping[str, Any]) -> None:
        """Values of the run's summary."""
        self._run.summary.update({k: v for k, v in flatten(values, "/").items() if v is not None})

    def log_plots(self, plots: Sequence[Plot]) -> None:
        """W&B's own charts, from tables in the summary: in the history, their sizes would be curves and panels."""
        import wandb

        for plot in plots:
            if isinstance(plot, LinePlot):
                chart = wandb.plot.line_series(
                    xs=list(plot.x),
                    ys=[list(values) for values in plot.series.values()],
                    keys=list(plot.series),
                    title=plot.title,
                    xname=plot.x_name,
                )
            else:
                rows = [[actual, predicted, count] for (actual, predicted), count in plot.counts.items()]
                columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
                fields = {str(name): str(name) for name in columns}
                table = wandb.Table(columns=columns, data=rows)
                chart = wandb.plot_table(CONFUSION_CHART, table, fields, {"title": plot.title})
            chart.set_key(plot.name)
            # What `log` does with a chart, which would put the table into the history as well.
            self._run._config_callback(key=chart.spec.config_key, val=chart.spec.config_value)
            self._run.summary.update({chart.spec.table_key: chart.table})

    def log_files(self, kind: str, files: Mapping[str, Path]) -> None:
        """An artifact of this run, `<kind>-<id of the run>`."""
        import wandb

        artifact = wandb.Artifact(f"{kind}-{self._run.id}", type=ARTIFACT_TYPES.get(kind, kind))
        for name, path in files.items():
            # The files do not change any more, so W&B needs no copy of its own.
            artifact.add_file(str(path.absolute()), name=name, policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

    def close(self, status: str) -> None:
        """Finish the run; W&B shows any except a finished one as failed."""
        self._run.summary["status"] = status
        try:
            self._run.finish(exit_code=EXIT_CODES.get(status, 1))
        except TimeoutError:
            warn("wandb", f"the upload takes too long; send the rest with {_sync_command(self._folder)}")


def _sync_command(folder: Path) -> str:
    return f"`wandb sync {shell_word(folder)}`"


def _global_settings() -> Any:
    """W&B's settings from its files and environment variables, without starting anything."""
    # W&B reads these two when it is first imported. It reports its own errors over the network, even offline,
    # which delays the end of the process for many seconds where packets are dropped.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton().settings


def _mode(settings: WandbSettings) -> tuple[str, str]:
    """The mode, and the reason where it is offline although nobody asked for that."""
    global_settings = _global_settings()
    if settings.mode != "auto":
        return settings.mode, ""
    if "mode" in global_settings.model_fields_set:  # WANDB_MODE, or `wandb offline` in this folder
        return str(global_settings.mode), ""
    if problem := _key_problem(global_settings.base_url):
        return "offline", problem
    if not accepts_connections(global_settings.base_url, CONNECT_TIMEOUT):
        return "offline", f"{mask_url(global_settings.base_url)} cannot be reached"
    return "online", ""


def _key_problem(base_url: str) -> str:
    """Why there is no usable key in the environment or netrc; empty if there is one."""
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib import wbauth

    try:
        auth = wbauth.authenticate_session(host=base_url, source="rl_eval", prompt=False, update_session=False)
    except AuthenticationError as error:
        return f"the W&B API key is not usable ({str(error).splitlines()[0].rstrip('.')})"
    return "" if auth else "there is no W&B API key"


def _init_arguments(settings: WandbSettings, run: TrackedRun, *, online: bool) -> dict[str, Any]:
    """The arguments of `wandb.init` without the mode."""
    by_agent = bool(os.environ.get("WANDB_SWEEP_ID"))
    arguments: dict[str, Any] = {
        "project": settings.project or (None if os.environ.get("WANDB_PROJECT") else DEFAULT_PROJECT),
        "entity": settings.entity,
        "tags": list(settings.tags),
        "name": str(run.config.get("name") or run.directory.name)[:MAX_NAME_LENGTH],
        "dir": str(run.directory),
        "config": flatten(run.config),
        # One process may open several runs one after another; the next run must not reuse one that hangs.
        "reinit": "create_new",
    }
    if run.group and not by_agent:
        arguments["group"] = run.group[:MAX_NAME_LENGTH]
    if online and not by_agent and (earlier := sorted(run.directory.glob("wandb/run-*-*"))):
        # A resumed run continues its W&B run.
        arguments |= {"id": earlier[-1].name.rsplit("-", 1)[-1], "resume": "allow"}
    arguments["settings"] = {
        "silent": True,
        "console": "off",
        "init_timeout": INIT_TIMEOUT,
        "finish_timeout": settings.finish_timeout,
        "finish_timeout_raises": True,
    }
    return arguments


def _init(arguments: Mapping[str, Any], mode: Any) -> Any:
    import wandb

    if mode == "offline":
        arguments = {k: v for k, v in arguments.items() if k not in ("id", "resume")}
    settings = wandb.Settings(**arguments["settings"])
    run = wandb.init(**{**arguments, "settings": settings}, mode=mode)
    run.define_metric("env_steps")
    run.define_metric("*", step_metric="env_steps")
    return run


def _relative(path: Path) -> Path:
    """Relative to the working directory where the path is below it."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


PLUGIN = TrackerPlugin(
    settings=WandbSettings,
    start=start,
    check=check,
    timeout=lambda settings: settings.finish_timeout + START_TIMEOUT,
    draws=True,
)
