"""The process of the embedded service: it starts on demand and ends with its parent process."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from rl_eval.domains.qase.service import NotStartedError, start
from rl_eval.domains.qase.service.__main__ import main
from rl_eval.net import RequestError, embedded_service

STARTS_ONE = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
from rl_eval.domains.qase.service import start
service = start()
print(service._process.pid, service.base_url, flush=True)
time.sleep(60)
"""


def runs(pid):
    """Whether a process of that id runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid):
    until = time.monotonic() + 120
    while runs(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not runs(pid)


def test_leaving_the_block_ends_it_and_closing_twice_is_nothing():
    with start(["B01"]) as service:
        pid = service._process.pid
        assert service.alive()
        assert service.base_url.startswith("http://127.0.0.1:")
        assert service.token not in Path(f"/proc/{pid}/cmdline").read_text()
    assert not runs(pid)
    assert not service.alive()
    service.close()
    with pytest.raises(RequestError):
        service.reset()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_it_ends_with_whoever_started_it(number):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        pid, url = starter.stdout.readline().decode().split()
        assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "ok"}
        os.killpg(starter.pid, number)  # as Ctrl-C in a terminal: to the whole group
        starter.wait(120)
        assert wait_until_gone(int(pid))
    finally:
        with suppress(ProcessLookupError):
            starter.kill()
        starter.wait()
        starter.stdout.close()


def test_what_keeps_it_from_starting_is_reported(monkeypatch):
    with pytest.raises(NotStartedError, match="not within 0 s"):
        start(patience_s=0.0)
    monkeypatch.setattr(embedded_service.sys, "executable", "/bin/false")
    with pytest.raises(NotStartedError, match=r"did not start \(.*\): it printed nothing"):
        start()


def test_a_person_starts_it_with_a_port_and_bugs(capsys):
    served = subprocess.Popen(
        [sys.executable, "-m", "rl_eval.domains.qase.service", "--port", "0", "--bugs", "B12"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = served.stdout.readline().split()[0]
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/search?max_price=120", trust_env=False).json()["total"] == 0
        assert httpx.post(f"{url}/_control/reset", trust_env=False).status_code == 404
        port = url.rpartition(":")[2]
        for options, message in ((["--port", port], "cannot be used"), (["--bugs", "B99"], "there is no seeded bug")):
            assert main(options) == 2
            reported = capsys.readouterr().err
            assert reported.startswith("error: ")
            assert message in reported
            assert reported.count("\n") == 1
    finally:
        served.send_signal(signal.SIGINT)
        served.communicate(timeout=300)
