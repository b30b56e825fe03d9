"""Scoring by a model file, in this process or in several, each with a core and the model of its own."""

from __future__ import annotations

import multiprocessing
import queue
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path

from rl_eval.domains.prompt.scoring.collect import Job, collect
from rl_eval.domains.prompt.scoring.language_model import LanguageModel
from rl_eval.errors import InputError

_POLL_S = 0.25


def collect_with_file(out: Path, model: Path, jobs: Sequence[Job], workers: int, report: Callable[[int], None]) -> None:
    """Score prompts by a GGUF file, and append each score to a file of JSON lines.

    Args:
        workers: processes at most.
        report: is called with the number of scores made so far.

    Raises:
        InputError: a missing extra, or a model or file that cannot be used.
    """
    workers = min(workers, len(jobs))
    if workers == 1:
        collect(out, LanguageModel(model), jobs, report)
        return
    context = multiprocessing.get_context("spawn")
    reports: Queue[str | None] = context.Queue()
    processes = [
        context.Process(target=_work, args=(out, model, jobs[index::workers], reports), daemon=True)
        for index in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        _follow(processes, reports, report)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()


def _follow(processes: Sequence[BaseProcess], reports: Queue[str | None], report: Callable[[int], None]) -> None:
    done = 0
    while True:
        is_over = not any(process.is_alive() for process in processes)
        try:
            error = reports.get(timeout=_POLL_S)
        except queue.Empty:
            if is_over:
                break
            report(done)
            continue
        if error is not None:
            raise InputError(error)
        done += 1
        report(done)
    if any(process.exitcode for process in processes):
        raise InputError("a process that scored prompts ended early: run the command again to continue")


def _work(out: Path, model: Path, jobs: Sequence[Job], reports: Queue[str | None]) -> None:
    """In a process of its own."""
    try:
        collect(out, LanguageModel(model), jobs, lambda _: reports.put(None))
    except InputError as error:
        reports.put(str(error))
    except KeyboardInterrupt:
        pass
