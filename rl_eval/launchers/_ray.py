"""Ray: a cluster somewhere, or one that is started on this machine for as long as it is needed."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra, require_extra
from rl_eval.launchers.plugin import LauncherPlugin, LauncherSettings, Task, WorkerLostError
from rl_eval.stop_signals import interruptible

OBJECT_STORE_BYTES = 200 << 20  # of a cluster that is started here: calls and answers are small
STARTS = 3  # tries to start a cluster here
LOOK_S, ANSWER_S = 2.0, 5.0  # how often the head node is looked for, and how long it may take to answer
ABSENT = 4  # looks in turn without an answer
SHUTDOWN_S = 20.0  # for leaving a cluster that has lost its head node
GRACE_S = 5.0  # for calls that are stopped to write down where they are
_ROOT = Path(__file__).parents[2]  # where rl_eval is, which workers must be able to import


class RaySettings(LauncherSettings):
    """`launcher.name=ray`."""

    name: Literal["ray"] = "ray"
    address: str | None = Field(None, description="host:port, ray://host:port or auto; null: a cluster of this machine")
    count: int | None = Field(
        None, ge=1, le=100_000, description="calls at the same time; null: what there is room for"
    )
    cpus: float = Field(1, ge=0, le=4096, description="cores that each call takes")
    gpus: float = Field(0, ge=0, le=64, description="GPUs that each call takes, or a share of one")


class RayLauncher:
    """Calls as Ray tasks. If a worker or its machine is lost, the waiting code decides whether to ask again."""

    def __init__(self, settings: RaySettings) -> None:
        self._settings = settings
        self._where = "Ray" if settings.address is None else f"Ray at {settings.address}"
        defaults = {"RAY_USAGE_STATS_ENABLED": "0"}
        if settings.address is not None:
            defaults["RAY_AUTH_MODE"] = "token"  # by default Ray asks for a token, and sends none
        for name, value in defaults.items():  # read when Ray is imported
            os.environ.setdefault(name, value)
        with imports_of_extra("ray", "launcher=ray"):
            import ray
        self._ray = ray
        with _own_signals():
            self._connect()
        room = ray.cluster_resources().get("CPU", 1)
        self.slots = settings.count or max(1, int(room / settings.cpus if settings.cpus else room))
        self._function = ray.remote(_call)
        self._options = {"num_cpus": settings.cpus, "num_gpus": settings.gpus, "max_retries": 0}
        self._running: dict[Any, tuple[Task, Future[Any]]] = {}
        self._lock = threading.Lock()
        self._closed, self._lost = threading.Event(), False
        threading.Thread(target=self._watch_head, args=(self._head(),), daemon=True, name="ray head").start()

    def _connect(self) -> None:
        settings, ray = self._settings, self._ray
        common: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False, "namespace": "rl_eval"}
        try:
            if settings.address is None:
                self._start(common)
            else:
                _require_answer(settings.address)
                environment = {"env_vars": {"PYTHONPATH": str(_ROOT)}}
                ray.init(settings.address, runtime_env=environment, **common)
        except Exception as error:  # of many kinds, by what is wrong with the address
            raise InputError(f"{self._where} cannot be used ({_reason(error)}): {_advice(settings, error)}") from error

    def _start(self, common: dict[str, Any]) -> None:
        """A cluster of this machine; Ray gives up after 30 seconds, which a busy machine may take."""
        for remaining in reversed(range(STARTS)):
            try:
                self._ray.init(
                    "local",  # not one that someone else has started
                    num_cpus=self._settings.count or None,
                    object_store_memory=OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    **common,
                )
                return
            except Exception as error:
                self._ray.shutdown()
                if not remaining or "timed out" not in str(error):
                    raise

    def _head(self) -> tuple[str, int]:
        """Host and port of the head node."""
        address = self._settings.address or ""
        if not address.startswith("ray://"):
            address = self._ray.get_runtime_context().gcs_address
        return _host_and_port(address)

    def _watch_head(self, head: tuple[str, int]) -> None:
        """Where the head node is lost, calls would wait for a minute, and Ray would then end this process."""
        absent = 0
        while absent < ABSENT and not self._closed.wait(LOOK_S):
            try:
                socket.create_connection(head, timeout=ANSWER_S).close()
                absent = 0
            except OSError:
                absent += 1
        if self._closed.is_set():
            return
        with self._lock:
            self._lost = True
            running, self._running = self._running, {}
        for task, future in running.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(InputError(f"{task.name}: {self._where} lost its head node"))

    def submit(self, task: Task) -> Future[Any]:
        """Ask for a call."""
        future: Future[Any] = Future()
        if self._lost:
            future.set_exception(InputError(f"{task.name}: {self._where} lost its head node"))
            return future
        try:
            reference = self._function.options(name=task.name, **self._options).remote(task)
        except Exception as error:
            future.set_exception(InputError(f"{task.name}: {self._where} refuses it ({_reason(error)})"))
            return future
        with self._lock:
            self._running[reference] = (task, future)
        reference.future().add_done_callback(lambda ended: self._end(reference, task, ended))
        future.add_done_callback(lambda asked: self._cancel(reference) if asked.cancelled() else None)
        return future

    def _cancel(self, reference: Any) -> None:
        with contextlib.suppress(Exception):
            self._ray.cancel(reference, force=False)

    def _end(self, reference: Any, task: Task, ended: Future[Any]) -> None:
        with self._lock:
            _, future = self._running.pop(reference, (None, None))
        if future is None or not future.set_running_or_notify_cancel():
            return
        error = ended.exception()
        done, value = (False, self._translated(task, error)) if error is not None else ended.result()
        if done:
            future.set_result(value)
        else:
            future.set_exception(value)

    def _translated(self, task: Task, error: BaseException) -> BaseException:
        errors = self._ray.exceptions
        if isinstance(error, errors.RayTaskError):  # before the call began: its machine cannot import rl_eval
            return InputError(f"{task.name}: a worker of {self._where} cannot make the call ({_last(error)})")
        if isinstance(error, errors.TaskCancelledError):
            return InputError(f"{task.name} was interrupted")
        return WorkerLostError(f"{task.name}: its worker on {self._where} was lost ({_reason(error)})")

    def close(self) -> None:
        """Interrupt the calls, and leave the cluster; one that was started here ends."""
        self._closed.set()
        if self._lost:
            atexit.unregister(self._ray.shutdown)  # it may wait for the head node
            thread = threading.Thread(target=self._ray.shutdown, daemon=True)
            thread.start()
            thread.join(SHUTDOWN_S)
            return
        with self._lock:
            running, self._running = self._running, {}
        for reference, (_, future) in running.items():
            self._cancel(reference)
            if future.set_running_or_notify_cancel():
                future.set_exception(InputError("the call was interrupted"))
        with contextlib.suppress(Exception):
            if running:
                self._ray.wait(list(running), num_returns=len(running), timeout=GRACE_S, fetch_local=False)
            self._ray.shutdown()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise ValueError("it is not host:port")
    return host.strip("[]"), int(port)


def _require_answer(address: str) -> None:
    """Accept an address where something listens; Ray itself would try for more than three minutes.

    Raises:
        OSError, ValueError: nothing does, or it is not an address.
    """
    if address != "auto":
        socket.create_connection(_host_and_port(address), timeout=ANSWER_S).close()


def _call(task: Task) -> tuple[bool, Any]:
    """The answer, in a worker."""
    with interruptible():
        return task.answer()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray sets a handler of its own for SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reason(error: BaseException) -> str:
    """The first line of an error, without the colours of a terminal."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def _last(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _advice(settings: RaySettings, error: BaseException) -> str:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    if any("Authentication" in type(cause).__name__ or "InvalidAuthToken" in str(cause) for cause in causes):
        return "it needs another token: put it into ~/.ray/auth_token, or name its file in RAY_AUTH_TOKEN_PATH"
    if settings.address is None:
        return "see Ray's log in /tmp/ray/session_latest/logs, or use hardware=parallel"
    return "check launcher.address, that `ray status` answers there, and the token in ~/.ray/auth_token"


PLUGIN = LauncherPlugin(
    settings=RaySettings,
    start=RayLauncher,
    check=lambda settings: require_extra("ray", "launcher=ray", "ray"),
)
