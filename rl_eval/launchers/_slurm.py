"""Slurm: each call is a job of the cluster's queue, submitted by submitit.

Its state is not asked for: a job that crashed can be COMPLETED, and a cluster without accounting knows nothing of jobs
that have ended. A job has returned when its answer is there, and is lost when it is neither there nor in the queue.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra, require_extra
from rl_eval.launchers.plugin import LauncherPlugin, LauncherSettings, Task, WorkerLostError
from rl_eval.stop_signals import interruptible

LOOK_S = 0.5  # between two looks for answers
ASK_S = 5.0  # between two questions to the queue, which all users ask
ABSENT = 3  # questions in turn to which a job is not in the queue
COMMAND_S = 60.0  # for a command of Slurm
_ROOT = Path(__file__).parents[2]  # where rl_eval is, which jobs must be able to import


class SlurmSettings(LauncherSettings):
    """`launcher.name=slurm`."""

    name: Literal["slurm"] = "slurm"
    partition: str | None = Field(None, description="null: the cluster's default")
    account: str | None = None
    time: int = Field(60, ge=1, description="minutes that a job may take; one that takes longer is started again")
    cpus: int = Field(1, ge=1, le=4096, description="cores of a job")
    gpus: int = Field(0, ge=0, le=64, description="GPUs of a job")
    memory_gb: float | None = Field(None, gt=0, description="null: the cluster's default")
    count: int = Field(256, ge=1, le=10_000, description="jobs that are worth having in the queue at the same time")
    setup: tuple[str, ...] = Field((), description="shell commands before a job, such as module load cuda")
    options: dict[str, str | int | float | bool] = Field({}, description="further options of sbatch")
    folder: str = Field("outputs/slurm", description="for scripts, logs and answers, on a shared file system")


class Resumable:
    """A call that Slurm may start again: after a kill, a lost node, or at the end of its time."""

    def __call__(self, task: Task) -> tuple[bool, Any]:
        """The answer, in the job."""
        with interruptible():
            return task.answer()

    def checkpoint(self, task: Task) -> Any:
        """What to start again when the time of the job is over; the run directory has what was learned."""
        with imports_of_extra("slurm", "launcher=slurm"):
            from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)


class SlurmLauncher:
    """Calls as jobs of the queue, with a thread that looks for their answers."""

    def __init__(self, settings: SlurmSettings) -> None:
        self.slots = settings.count
        with imports_of_extra("slurm", "launcher=slurm"):
            import submitit
        folder = own_folder(settings.folder)
        path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=100)
        self._executor.update_parameters(
            partition=settings.partition,
            account=settings.account,
            time=settings.time,
            cpus_per_task=settings.cpus,
            gpus_per_node=settings.gpus or None,
            mem=None if settings.memory_gb is None else f"{round(settings.memory_gb * 1024)}M",
            setup=[f"export PYTHONPATH={shlex.quote(path)}", *settings.setup],
            additional_parameters={"requeue": True, **settings.options},
            job_name="rl_eval",
        )
        self._running: dict[Future[Any], tuple[Task, Any, int]] = {}  # with the questions that did not find the job
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="slurm").start()

    def submit(self, task: Task) -> Future[Any]:
        """Ask for a call."""
        future: Future[Any] = Future()
        try:
            job = self._executor.submit(Resumable(), task)
        except Exception as error:  # of submitit, of sbatch
            future.set_exception(InputError(f"{task.name}: Slurm refuses the job ({_reason(error)})"))
            return future
        with self._lock:
            self._running[future] = (task, job, 0)
        return future

    def _watch(self) -> None:
        asked = time.monotonic()
        while not self._closed.wait(LOOK_S):
            queue = None
            if time.monotonic() - asked >= ASK_S:
                queue, asked = _queue(), time.monotonic()
            with self._lock:
                running = list(self._running.items())
            for future, (task, job, absent) in running:
                if job.paths.result_pickle.exists():
                    self._answer(future, task, job)
                elif queue is not None:
                    absent = 0 if job.job_id in queue else absent + 1
                    with self._lock:
                        if future in self._running:
                            self._running[future] = (task, job, absent)
                    if absent >= ABSENT:
                        sentence = f"{task.name}: job {job.job_id} left the queue of Slurm{_log(job)}"
                        self._end(future, WorkerLostError(sentence))

    def _answer(self, future: Future[Any], task: Task, job: Any) -> None:
        try:
            done, value = job.result()
        except Exception as error:  # of submitit: it could not be started, or its answer not be written
            done, value = False, WorkerLostError(f"{task.name}: job {job.job_id} failed ({_reason(error)}){_log(job)}")
        self._end(future, value, failed=not done)

    def _end(self, future: Future[Any], value: Any, *, failed: bool = True) -> None:
        with self._lock:
            if self._running.pop(future, None) is None:
                return
        if not future.set_running_or_notify_cancel():
            return
        if failed:
            future.set_exception(value)
        else:
            future.set_result(value)

    def close(self) -> None:
        """Cancel the jobs that are queued or run."""
        self._closed.set()
        with self._lock:
            running, self._running = self._running, {}
        ids = [job.job_id for _, job, _ in running.values()]
        if ids:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(["scancel", *ids], check=False, capture_output=True, timeout=COMMAND_S)
        for future in running:
            if future.set_running_or_notify_cancel():
                future.set_exception(InputError("the call was interrupted"))


def own_folder(name: str) -> Path:
    """The folder for scripts and answers, made where it is missing.

    submitit reads answers as pickles, so anyone who can write there can run code here.

    Raises:
        InputError: it cannot be made, or others can write to it.
    """
    folder = Path(name).resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
    except OSError as error:
        raise InputError(f"launcher.folder={name} cannot be made ({error.strerror or error})") from error
    if state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise InputError(
            f"launcher.folder={name} belongs to another user, or others can write to it, and its files are executed: "
            f"name a folder of your own, or run `chmod go-w {shlex.quote(str(folder))}`"
        )
    return folder


def _queue() -> set[str] | None:
    """The numbers of all jobs of this user that wait or run; None where Slurm does not answer."""
    try:
        command = ["squeue", "--me", "--noheader", "--format=%i %T", "--states=all"]
        states = subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split() for line in states.stdout.splitlines()]
    ended = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE"}
    return {row[0] for row in rows if len(row) == 2 and row[1] not in ended}


def _log(job: Any) -> str:
    """Where its output is, and the last line of it."""
    lines = []
    with contextlib.suppress(OSError):
        lines = [line for line in job.paths.stderr.read_text(errors="replace").splitlines() if line.strip()]
    return f"; {job.paths.stderr}" + (f" ends with {lines[-1][:200]!r}" if lines else " has no output")


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def _check(settings: SlurmSettings) -> None:
    require_extra("slurm", "launcher=slurm", "submitit")
    if shutil.which("sbatch") is None:
        raise InputError(
            "launcher=slurm needs sbatch, which is not on this machine: run train.py on a machine that can submit jobs"
        )


PLUGIN = LauncherPlugin(settings=SlurmSettings, start=SlurmLauncher, check=_check)
