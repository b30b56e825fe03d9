"""`rl-eval production serve` and `collect` as processes, from a config file."""

import contextlib
import signal
import subprocess
import time

import httpx
import pytest

from rl_eval.production.canary.opening import registry_of
from rl_eval.production.config import load_config
from rl_eval.production.registry import Lineage
from rl_eval.production.store import Store
from tests.production.processes import COLLECT, SERVE, Process
from tests.production.served import OBS, write_config

LIMIT_S = 60.0  # on a machine that is busy


def eventually(condition):
    """The first value of a condition that is true."""
    end = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)
    return value


@pytest.mark.verify
def test_the_commands_join_decisions_and_rewards_and_end_quietly(runs, tmp_path):
    path = write_config(tmp_path, serve={"host": "127.0.0.1", "port": 0, "follow": "0.1s"})
    config = load_config(path)
    registry = registry_of(config)
    with (
        Process(SERVE, path, subprocess.PIPE) as server,
        Process(COLLECT, path, subprocess.PIPE) as collector,
        httpx.Client(base_url=server.url, timeout=LIMIT_S) as client,
    ):
        assert client.get("/health").status_code == 503  # no champion yet
        version = registry.register(runs / "one", Lineage(data="sha256:a"))
        registry.move({"champion": version.number}, expected={"champion": None})
        eventually(lambda: client.get("/health").status_code == 200)
        ids = []
        for number in range(3):
            body = {"observation": OBS, "unit": f"person{number}"}
            ids.append(client.post("/select_action", json=body).raise_for_status().json()["decision_id"])
            body = {"decision_id": ids[-1], "reward": float(number), "done": True}
            client.post("/store_experience", json=body).raise_for_status()
        with contextlib.closing(Store(config.collect.store, config.path)) as store:
            accepted = eventually(lambda: len(rows := store.accepted()) == 3 and rows)
        assert [one.decision.decision_id for one in accepted] == ids
        assert [one.reward.reward for one in accepted] == [0.0, 1.0, 2.0]
        assert {one.decision.version for one in accepted} == {str(version.number)}
        assert not {one.decision.unit for one in accepted} & {"person0", "person1", "person2"}
        for one in (server, collector):  # the client is still connected
            started = time.monotonic()
            one.process.send_signal(signal.SIGTERM)
            assert one.process.wait(LIMIT_S) == 0
            print(f"ended after {time.monotonic() - started:.2f} s")
            assert "Traceback" not in one.process.stderr.read()
