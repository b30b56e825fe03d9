"""`serve`: load a policy, listen, and answer until a signal comes."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_eval import run
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.net import UVICORN, Url, listening_socket

if TYPE_CHECKING:
    from rl_eval.serving.server import PolicyServer

PURPOSE = "the policy server"
FOLDER = Path("outputs") / "serving"
END_S = 0.5  # for requests that are being answered when a signal comes
STUCK_S = 0.8  # after a signal: for the event loop to end at all


def serve(
    spec: str,
    *,
    host: str,
    port: int,
    token: str | None,
    folder: Path | None = None,
    update_after: int | None = None,
    keep: int | None = None,
    trust: bool = False,
    show: Callable[[str], Any] = print,
) -> int:
    """Serve a policy until SIGINT or SIGTERM.

    Args:
        spec: a run directory, or `onnx:<file>`.
        host: the address to listen on; any address except loopback needs a token.
        token: what `Authorization: Bearer` must hold.
        folder: of the store and the checkpoints; None: `outputs/serving/<policy>`.
        update_after: transitions that `/update` needs; None: as many as an iteration of training has.
        keep: decisions that the store keeps; None: the default.
        trust: whether plugins of a run may be imported.
        show: prints a line.

    Returns:
        The exit status: 0 after SIGTERM, 130 after SIGINT.

    Raises:
        InputError: the policy, the folder or the address cannot be used.
    """
    with imports_of_extra("serve", PURPOSE):
        from starlette.types import ASGIApp
        from threadpoolctl import threadpool_limits

        from rl_eval.serving import source as sources
        from rl_eval.serving.app import guarded
        from rl_eval.serving.security import Access
        from rl_eval.serving.server import KEEP_DECISIONS, PolicyServer
    access = Access.at_address(host, token)
    threadpool_limits(1, user_api="blas")  # two threads on a small matrix are slower than one
    source = sources.load(spec, seed=int.from_bytes(os.urandom(4), "big"), trust=trust)
    own = folder or FOLDER / f"{source.name}-{source.policy.version[:8]}"
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{own} cannot be created ({error.strerror}): name another --folder") from error
    listener = listening_socket(host, port)
    with contextlib.closing(listener), run.lock(own):
        run.remove_leftovers(own)
        server = PolicyServer(source, own, update_after=update_after, keep=keep or KEEP_DECISIONS)
        try:
            app: ASGIApp = guarded(server, access)
            address = Url("http", host, listener.getsockname()[1])
            for line in greeting(server, address, token is not None, access.loopback):
                show(line)
            return run_app(app, listener)
        finally:
            server.close()


def run_app(app: Any, listener: socket.socket) -> int:
    """Answer requests until SIGINT or SIGTERM, and end within a second of it.

    Returns:
        The exit status: 0 after SIGTERM, 130 after SIGINT.
    """
    with imports_of_extra("serve", PURPOSE):
        import uvicorn

        from rl_eval.serving.connections import bounded_protocol, most_connections
    options = {**UVICORN, "http": bounded_protocol(most_connections()), "timeout_graceful_shutdown": 1}
    running = _stoppable(uvicorn.Server)(uvicorn.Config(app, **options))
    running.run(sockets=[listener])
    return _status(running.stopped_by)


def _status(number: int) -> int:
    return 0 if number == signal.SIGTERM else 130


def _stoppable(base: Any) -> Any:
    """uvicorn's server, ended by the first signal within a second."""

    class Stoppable(base):
        stopped_by = signal.SIGTERM

        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            """Take stop signals while serving; nobody else hears of them."""
            names = ("SIGINT", "SIGTERM", "SIGHUP")
            numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
            taken = [number for number in numbers if signal.getsignal(number) not in (signal.SIG_IGN, None)]
            before = {number: signal.signal(number, self.handle_exit) for number in taken}
            wakeup = signal.set_wakeup_fd(-1)
            try:
                yield
            finally:
                signal.set_wakeup_fd(wakeup)
                for number, handler in before.items():
                    signal.signal(number, handler)

        def handle_exit(self, number: int, frame: Any) -> None:
            """End after the answers that are being written, or without them where that takes long."""
            self.stopped_by, self.should_exit = signal.Signals(number), True
            _later(END_S, lambda: setattr(self, "force_exit", True))
            # All that was acknowledged is in the store already, so the process may end anywhere.
            _later(STUCK_S, lambda: os._exit(_status(number)))

    return Stoppable


def _later(seconds: float, act: Callable[[], Any]) -> None:
    timer = threading.Timer(seconds, act)
    timer.daemon = True
    timer.start()


def greeting(server: PolicyServer, address: Url, token: bool, loopback: bool) -> list[str]:
    """What is printed once the server listens: its URL, and a request that can be pasted."""
    policy = server.policy
    header = "" if loopback or not token else ' -H "Authorization: Bearer $RL_EVAL_TOKEN"'
    prefix = f"curl -s {shlex.quote(f'{address}/select_action')}{header} -H 'content-type: application/json'"
    observed: dict[str, Any] = {"observation": _zeros(policy.spaces.observation.shape or ())}
    if server.observing.encoder is not None:
        observed = {"prompt": "Say whether this review is positive or negative."}
    body = json.dumps({**observed, "greedy": True})
    if len(body) > 300:  # a line that nobody would paste
        code = (
            f"import json; print(json.dumps({{'observation': {_zeros_code(policy.spaces.observation.shape or ())}}}))"
        )
        prefix, body = f"python3 -c {shlex.quote(code)} | {prefix}", ""
    updates = f", after {server.changes:,} updates and loads" if server.changes else ""
    served = f"{server.source.name} ({policy.spaces.env}), version {policy.version}{updates}"
    return [
        f"{address}  serves {served}; Ctrl-C ends it",
        f"folder {server.folder}; routes at {address}/openapi.json",
        f"{prefix} -d {shlex.quote(body) if body else '@-'}",
    ]


def _zeros(shape: tuple[int, ...]) -> Any:
    return [_zeros(shape[1:]) for _ in range(shape[0])] if shape else 0.0


def _zeros_code(shape: tuple[int, ...]) -> str:
    return f"[{_zeros_code(shape[1:])}] * {shape[0]}" if shape else "0.0"
