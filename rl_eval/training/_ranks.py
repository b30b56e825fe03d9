"""One run in several processes, its ranks: this one, rank 0, leads, and only it writes the run; the others follow.

torch's process group (gloo on CPU, NCCL on GPUs) joins the ranks, over a file and the loopback interface. A follower
does what rank 0 broadcasts: it calls the same method of its own agent. Its end is noticed by the closed connection.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval import agent_registry, run, terminal
from rl_eval import config as configs
from rl_eval.config import RunConfig, torch_device
from rl_eval.errors import InputError, failure
from rl_eval.exposure import FirstObservationRecorder
from rl_eval.extras import imports_of_extra
from rl_eval.training._learner import Learner, make_learner

START_S = 300.0  # for a follower to import and be there
END_S = 5.0  # for a process to end
SETTLE_S = 0.2
STUCK_S = 30.0  # for rank 0 to notice by itself that another is gone; it does not where it waits for NCCL
GONE = 3  # exit status of a follower that another rank left
READY = b"ready"
MAX_REASON = 1 << 12  # bytes
LONGEST_WAIT = timedelta(days=7)  # of a follower, while rank 0 validates; the end of a process is noticed at once


def rank_device(config: RunConfig, rank: int) -> str:
    """The device of a rank: the CPU, or the GPU of its number.

    Raises:
        InputError: there are fewer GPUs than ranks.
    """
    device = torch_device(config.hardware)
    if device == "cpu" or config.hardware.ranks == 1:
        return device
    with imports_of_extra("train", "hardware.ranks"):
        import torch

    if torch.cuda.device_count() < config.hardware.ranks:
        raise InputError(
            f"hardware.ranks={config.hardware.ranks} needs a GPU for each, and torch sees "
            f"{torch.cuda.device_count()}: lower it, or use hardware.device=cpu"
        )
    return f"cuda:{rank}"


@contextlib.contextmanager
def leading(config: RunConfig, directory: Path) -> Iterator[Leader | None]:
    """Inside, the other ranks of a run are there; None if it has one.

    Raises:
        InputError: a rank could not be started.
    """
    if config.hardware.ranks == 1:
        yield None
        return
    leader = Leader(config, directory)
    try:
        leader.join()
        yield leader
    finally:
        leader.close()


class Leader:
    """Rank 0's hold on the others."""

    def __init__(self, config: RunConfig, directory: Path):
        from multiprocessing import get_context

        self._directory = directory
        self._meeting = tempfile.TemporaryDirectory(prefix="rl_eval_ranks_")
        self._pipes: list[Any] = []
        self._processes: list[Any] = []
        self.config, self.count = config, config.hardware.ranks
        context = get_context("spawn")
        for rank in range(1, self.count):
            own, other = context.Pipe()
            arguments = (config.to_dict(), str(directory), rank, self._meeting.name, other)
            process = context.Process(target=follow, args=arguments, daemon=True, name=f"rank {rank}")
            process.start()
            other.close()
            self._pipes.append(own)
            self._processes.append(process)
        self._closing = threading.Event()
        threading.Thread(target=self._watch, daemon=True, name="ranks").start()

    def _watch(self) -> None:
        """In a thread: end this process where another rank is gone, and this one waits for it in a GPU."""
        from multiprocessing.connection import wait

        wait([process.sentinel for process in self._processes])
        if self._closing.wait(STUCK_S):
            return
        lost = self.lost()
        with contextlib.suppress(InputError, OSError):
            info = run.read_run(self._directory).info
            run.write_json(self._directory / "run.json", {**info, "status": "failed", "reason": str(lost)})
        terminal.print_error(f"training failed: {lost}")
        os._exit(1)

    def join(self) -> None:
        """Wait for the others, and join them in a process group.

        Raises:
            InputError: one did not start.
        """
        for rank, pipe in enumerate(self._pipes, 1):
            if not pipe.poll(START_S) or self._receive(rank) != READY:
                raise self.lost() or InputError(f"rank {rank} did not start within {START_S:g} s: start the run again")
        _join_group(self.config, 0, self._meeting.name)

    def _receive(self, rank: int) -> bytes | None:
        try:
            return self._pipes[rank - 1].recv_bytes(MAX_REASON)
        except (EOFError, OSError):
            return None

    def lost(self) -> InputError | None:
        """What ended another rank, if one has ended."""
        from multiprocessing.connection import wait

        if not wait([process.sentinel for process in self._processes], END_S):
            return None
        time.sleep(SETTLE_S)  # one that is killed takes others with it
        codes = [(rank, process.exitcode) for rank, process in enumerate(self._processes, 1)]
        ended = [(rank, code) for rank, code in codes if code is not None]
        rank, code = min(ended, key=lambda item: item[1] == GONE)
        reason = None
        while self._pipes[rank - 1].poll() and (message := self._receive(rank)) is not None:
            reason = message.decode(errors="replace") if message != READY else None
        if reason is None:
            reason = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        resume = run.resume_command(self._directory)
        return InputError(f"rank {rank} of ranks 0 to {self.count - 1} is lost ({reason}): continue with `{resume}`")

    def close(self) -> None:
        """End the others; they end by themselves where this process does."""
        with imports_of_extra("train", "hardware.ranks"):
            import torch.distributed as dist

        self._closing.set()
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(END_S)
            if process.is_alive():
                process.kill()
                process.join(END_S)
        if dist.is_initialized():
            dist.destroy_process_group()
        self._meeting.cleanup()


class LeadingAgent:
    """Rank 0's agent: what it is asked to do, the other ranks do too.

    Raises:
        InputError: by every method, another rank has ended.
    """

    def __init__(self, leader: Leader, learner: Learner, ranks: Any):
        self._leader, self._learner, self._ranks = leader, learner, ranks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._learner.agent, name)

    def start(self, seeds: list[int], *, cut: bool = False) -> None:
        """Reset the copies of all ranks; `seeds` has one for each."""
        self._together("start", {"seeds": np.array(seeds)}, {"cut": cut})

    def iterate(self) -> dict[str, float]:
        """One iteration of all ranks."""
        return self._together("iterate")

    def initialize(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Take over the weights of another agent."""
        self._together("initialize", arrays, meta)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The state of all ranks."""
        return self._together("state")

    def load_state(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        """Restore what `state` gave, in all ranks."""
        self._together("load_state", arrays, meta)

    def all_starts(self) -> FirstObservationRecorder:
        """The first observations of the copies of all ranks."""
        return self._together("starts")

    def _together(self, order: str, arrays: Mapping[str, np.ndarray] | None = None, meta: Any = None) -> Any:
        arrays, meta = arrays or {}, meta or {}
        try:
            self._ranks.broadcast(_pack({"order": order, "meta": meta}, arrays))
            return _obey(order, arrays, meta, self._learner, self._ranks)
        except RuntimeError as error:
            if (lost := self._leader.lost()) is None:
                raise
            raise lost from error


def _pack(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    named: Any = {f"array {name}": array for name, array in arrays.items()}
    np.savez(file, header=np.array(json.dumps(header)), **named)
    return file.getvalue()


def _unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name.removeprefix("array "): file[name] for name in file.files if name != "header"}
        return json.loads(str(file["header"])), arrays


def _obey(order: str, arrays: Mapping[str, np.ndarray], meta: Any, learner: Learner, ranks: Any) -> Any:
    """What every rank does on an order."""
    agent = learner.agent
    if order == "start":
        return agent.start(arrays["seeds"].tolist(), cut=meta["cut"])
    if order == "iterate":
        return agent.iterate()
    if order == "state":
        return agent.state()
    if order == "initialize":
        return agent.initialize(arrays, meta)
    if order == "load_state":
        if ranks.rank:  # rank 0 holds the record of all that was before
            learner.starts.load_state({}, episodes=0)
        return agent.load_state(arrays, meta)
    assert order == "starts", order
    states = [_unpack(data)[1] for data in ranks.gather_bytes(_pack({}, learner.starts.state()))]
    return FirstObservationRecorder.of_states(states)


def _join_group(config: RunConfig, rank: int, meeting: str) -> None:
    with imports_of_extra("train", "hardware.ranks"):
        import torch
        import torch.distributed as dist

    if "GLOO_SOCKET_IFNAME" not in os.environ:  # else gloo listens where the host's name leads
        loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
        os.environ["GLOO_SOCKET_IFNAME"] = ",".join(loopback)
    device = rank_device(config, rank)
    if device != "cpu":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl",
        store=dist.FileStore(str(Path(meeting) / "store"), config.hardware.ranks),
        rank=rank,
        world_size=config.hardware.ranks,
        timeout=LONGEST_WAIT,
    )


def follow(values: dict[str, Any], directory: str, rank: int, meeting: str, pipe: Any) -> None:
    """All that a follower does; ends with rank 0.

    Args:
        values: the run's config.
        meeting: the folder of the file by which the ranks find each other.
        pipe: to rank 0: takes `READY`, or why this rank ends.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # rank 0 hears them too, and ends this one
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_leader, args=(pipe,), daemon=True).start()
    status = 1
    try:
        config = configs.load(values)
        pipe.send_bytes(READY)
        _join_group(config, rank, meeting)
        ranks = agent_registry.ranks()
        learner = make_learner(config, Path(directory), rank_device(config, rank), ranks)
        while True:
            header, arrays = _unpack(ranks.broadcast())
            _obey(header["order"], arrays, header["meta"], learner, ranks)
    except RuntimeError as error:  # usually because another rank is gone
        status, reason = GONE, failure(error)
    except (InputError, FloatingPointError) as error:
        reason = str(error)
    except BaseException as error:
        reason = failure(error)
    with contextlib.suppress(OSError):
        pipe.send_bytes(reason.encode()[:MAX_REASON])
    os._exit(status)


def _end_with_leader(pipe: Any) -> None:
    """In a thread: end this process once rank 0 has closed the pipe, or has ended."""
    with contextlib.suppress(EOFError, OSError):
        pipe.recv_bytes()
    os._exit(0)
