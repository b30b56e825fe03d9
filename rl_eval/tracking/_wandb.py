"""Weights & Biases: online with a key and a network, else offline, with a sentence that says how to upload later."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rl_eval.dotted_keys import flatten
from rl_eval.errors import InputError
from rl_eval.tracking._background import say
from rl_eval.tracking._config import WandbTracker
from rl_eval.tracking._plots import Lines, Plot

DEFAULT_PROJECT = "rl_eval"
REACH_TIMEOUT = 3.0  # seconds to find out whether the server can be reached
INIT_TIMEOUT = 10.0  # seconds that W&B may take to register the run
START_TIMEOUT = REACH_TIMEOUT + 2 * INIT_TIMEOUT  # the longest start: unreachable, then offline
MAX_NAME = 128  # W&B refuses longer run and group names
CONFUSION = "wandb/confusion_matrix/v1"  # the chart that W&B draws a confusion matrix with
KINDS = {"policy": "model"}  # artifact types that W&B gives a place of their own
EXIT_CODES = {"finished": 0, "interrupted": 130}


def check(settings: WandbTracker) -> None:
    """Refuse what is known to fail.

    Raises:
        InputError: the package is missing, or `mode: online` without an API key.
    """
    if importlib.util.find_spec("wandb") is None:
        raise InputError("tracker=wandb needs the wandb package: `pip install wandb`, or tracker=none")
    if settings.mode == "online" and (problem := _key_problem(_global_settings().base_url)):
        raise InputError(f"tracker.mode=online, but {problem}: `wandb login`, or tracker.mode=offline and sync later")


def start(settings: WandbTracker, *, run_dir: Path, config: Mapping[str, Any], group: str | None) -> Wandb:
    """Register the run, offline where online does not work."""
    mode, reason = _mode(settings)
    arguments = _arguments(settings, run_dir=run_dir, config=config, group=group, online=mode == "online")
    try:
        run = _init(arguments, mode)
    except Exception as error:
        if mode == "offline":
            raise
        lines = [line for line in str(error).splitlines() if line and line != "<no message>"]
        reason = f"W&B did not take the run ({lines[0].rstrip('.') if lines else 'the server refused it'})"
        mode, run = "offline", _init(arguments, "offline")
    folder = _relative(Path(run.settings.sync_dir))
    if reason:
        say("wandb", f"{reason}, so the run is recorded offline; upload it later with `wandb sync {folder}`")
    return Wandb(run, folder)


class Wandb:
    """One W&B run."""

    def __init__(self, run: Any, folder: Path):
        self._run, self._folder, self._env_steps = run, folder, 0

    def log(self, row: Mapping[str, float], env_steps: int) -> None:
        """A row of history."""
        self._env_steps = env_steps
        self._run.log({**row, "env_steps": env_steps})

    def summary(self, values: Mapping[str, Any]) -> None:
        """Into the run's summary."""
        self._run.summary.update({k: v for k, v in flatten(values, "/").items() if v is not None})

    def draw(self, plots: Sequence[Plot]) -> None:
        """W&B's own charts, from tables that it keeps."""
        import wandb

        drawn = {}
        for plot in plots:
            if isinstance(plot, Lines):
                drawn[plot.name] = wandb.plot.line_series(
                    xs=list(plot.x),
                    ys=[list(values) for values in plot.lines.values()],
                    keys=list(plot.lines),
                    title=plot.title,
                    xname=plot.x_name,
                )
            else:
                rows = [[actual, predicted, count] for (actual, predicted), count in plot.counts.items()]
                columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
                fields = {str(name): str(name) for name in columns}
                table = wandb.Table(columns=columns, data=rows)
                drawn[plot.name] = wandb.plot_table(CONFUSION, table, fields, {"title": plot.title})
        if drawn:
            self._run.log({**drawn, "env_steps": self._env_steps})

    def keep(self, kind: str, files: Mapping[str, Path]) -> None:
        """An artifact of this run, `<kind>-<id of the run>`."""
        import wandb

        artifact = wandb.Artifact(f"{kind}-{self._run.id}", type=KINDS.get(kind, kind))
        for name, path in files.items():
            # Nobody writes to them any more, so W&B needs no copy of its own.
            artifact.add_file(str(path.absolute()), name=name, policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

    def close(self, status: str) -> None:
        """Finish the run; W&B shows any but a finished one as failed."""
        self._run.summary["status"] = status
        try:
            self._run.finish(exit_code=EXIT_CODES.get(status, 1))
        except TimeoutError:
            say("wandb", f"the upload takes too long; send the rest with `wandb sync {self._folder}`")


def _global_settings() -> Any:
    """W&B's settings from its files and environment variables, without starting anything."""
    # W&B reads these two when it is first imported. Its reports of its own errors go over the network
    # even offline, and hold up the end of the process for many seconds where packets are dropped.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_SILENT", "true")
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton().settings


def _mode(settings: WandbTracker) -> tuple[str, str]:
    """The mode, and why, where it is not what the person would expect."""
    found = _global_settings()
    if settings.mode != "auto":
        return settings.mode, ""
    if "mode" in found.model_fields_set:  # WANDB_MODE, or `wandb offline` in this folder
        return str(found.mode), ""
    if problem := _key_problem(found.base_url):
        return "offline", problem
    if not _reachable(found.base_url):
        return "offline", f"{urlsplit(found.base_url).netloc} cannot be reached"
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


def _reachable(base_url: str) -> bool:
    """Whether the server, or the proxy in front of it, accepts a connection soon."""
    parts = urlsplit(base_url)
    proxy = getproxies().get(parts.scheme)
    if proxy and parts.hostname and not proxy_bypass(parts.hostname):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    answered: list[bool] = []

    def knock() -> None:
        try:
            with socket.create_connection(address, timeout=REACH_TIMEOUT):
                answered.append(True)
        except OSError:
            pass

    # A name lookup has no timeout of its own, so it gets a thread that can be left behind.
    thread = threading.Thread(target=knock, name="tracker-wandb-reach", daemon=True)
    thread.start()
    thread.join(REACH_TIMEOUT)
    return bool(answered)


def _arguments(
    settings: WandbTracker, *, run_dir: Path, config: Mapping[str, Any], group: str | None, online: bool
) -> dict[str, Any]:
    """What `wandb.init` is given, but for the mode."""
    by_agent = bool(os.environ.get("WANDB_SWEEP_ID"))
    arguments: dict[str, Any] = {
        "project": settings.project or (None if os.environ.get("WANDB_PROJECT") else DEFAULT_PROJECT),
        "entity": settings.entity,
        "tags": list(settings.tags),
        "name": str(config.get("name") or run_dir.name)[:MAX_NAME],
        "dir": str(run_dir),
        "config": flatten(config),
        # One process may hold several runs in turn, and one that hangs must not become the next one's.
        "reinit": "create_new",
    }
    if group and not by_agent:
        arguments["group"] = group[:MAX_NAME]
    if online and not by_agent and (earlier := sorted(run_dir.glob("wandb/run-*-*"))):
        # The directory of a resumed run: go on with its W&B run.
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
    """Relative to the working directory where that is shorter to type."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
