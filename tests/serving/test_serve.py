"""`rl-eval serve` as a process: what it prints, how it ends, and that a kill loses nothing that was acknowledged."""

import json
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

from rl_eval import run
from rl_eval.cli import main
from rl_eval.net import LOOPBACK, RequestError, listening_socket
from tests.serving.process import Served
from tests.serving.served_runs import OBS, observations


class Writer(threading.Thread):
    """Asks for decisions and stores what followed, until the server is gone; keeps what was acknowledged."""

    def __init__(self, served, seed, update):
        super().__init__()
        self.client, self.seed, self.update = served.client(), seed, update
        self.decisions, self.experiences, self.failed = [], {}, None

    def run(self):
        rewards = np.random.default_rng(self.seed)
        try:
            while True:
                body = json.dumps({"observation": OBS, "unit": f"unit-{self.seed}"}).encode()
                answer = self.post("/select_action", body)
                self.decisions.append(answer["decision_id"])
                reward = float(rewards.standard_normal())
                experience = {"decision_id": answer["decision_id"], "reward": reward, "done": True}
                self.post("/store_experience", json.dumps(experience).encode())
                self.experiences[answer["decision_id"]] = experience
                if self.update and len(self.decisions) % 40 == 0:
                    self.post("/update", b"{}")
        except RequestError:
            pass  # the server was killed
        except Exception as error:
            self.failed = error

    def post(self, path, body):
        response = self.client.request("POST", path, body=body, headers=[("content-type", "application/json")])
        assert response.status == 200, response.content
        return json.loads(response.content)


def acknowledged_is_there(path, folder, writers):
    """Start again, and ask for each acknowledged experience: the same is confirmed, another reward is a conflict."""
    experiences = [experience for writer in writers for experience in writer.experiences.values()]
    decisions = [decision for writer in writers for decision in writer.decisions]
    with Served(path, folder) as served:
        client = served.client()

        def post(body):
            return client.request("POST", "/store_experience", body=json.dumps(body).encode())

        assert json.loads(client.request("GET", "/stats").content)["experiences"] >= len(experiences)
        for experience in experiences[-50:]:
            assert post(experience).status == 200
            assert post({**experience, "reward": experience["reward"] + 1}).status == 409
        for decision in decisions[-50:]:
            assert post({"decision_id": decision, "reward": 0.0, "done": True}).status in (200, 409)
        return json.loads(client.request("GET", "/health").content)["policy_version"]


def kill_while_writing(path, folder, after, threads, update=False):
    """Kill a busy server once `after` experiences were acknowledged; returns its clients."""
    with Served(path, folder) as served:
        writers = [Writer(served, seed, update and seed == 0) for seed in range(threads)]
        for writer in writers:
            writer.start()
        while sum(len(writer.experiences) for writer in writers) < after and any(w.is_alive() for w in writers):
            time.sleep(0.001)
        served.kill()
        for writer in writers:
            writer.join()
            assert writer.failed is None
    return writers


def test_a_kill_loses_nothing_that_was_acknowledged(runs, tmp_path):
    writers = kill_while_writing(runs / "ppo", tmp_path / "folder", after=60, threads=3)
    acknowledged_is_there(runs / "ppo", tmp_path / "folder", writers)


@pytest.mark.verify
def test_twenty_kills_at_random_moments_lose_nothing(runs, tmp_path):
    """Some while an update runs: the policy that is served afterwards is one whole version."""
    rng, folder, writers = np.random.default_rng(0), tmp_path / "folder", []
    for _ in range(20):
        writers += kill_while_writing(runs / "ppo", folder, after=int(rng.integers(1, 400)), threads=4, update=True)
        assert len(acknowledged_is_there(runs / "ppo", folder, writers)) == 16


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.verify)])
def test_a_signal_ends_it_and_the_printed_request_works(runs, tmp_path, number):
    with Served(runs / "ppo", tmp_path / "folder") as served:
        printed = subprocess.run(served.lines[2], shell=True, capture_output=True, text=True, check=True)
        assert json.loads(printed.stdout)["action"] in (0, 1)
        served.process.send_signal(number)
        served.process.wait(60)  # a guard: it takes a fraction of a second
        assert served.process.returncode == (0 if number == signal.SIGTERM else 130)
        assert not served.process.stderr.read()
        assert not (tmp_path / "folder" / "store.sqlite-wal").exists()


def refused(capsys, *arguments):
    assert main(["serve", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_bad_input_is_one_sentence(runs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RL_EVAL_TOKEN", raising=False)
    with listening_socket(LOOPBACK, 0) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port}" in refused(capsys, runs / "ppo", "--port", port)
    assert "RL_EVAL_TOKEN" in refused(capsys, runs / "ppo", "--host", "0.0.0.0")
    assert "RUN" in refused(capsys, "absent") or "absent" in refused(capsys, "absent")
    assert "policy" in refused(capsys)
    assert "onnx" in refused(capsys, "random")
    (tmp_path / "taken").mkdir()
    with run.lock(tmp_path / "taken"):
        assert "in use by another process" in refused(capsys, runs / "ppo", "--port", 0, "--folder", "taken")
    monkeypatch.setenv("RL_EVAL_TOKEN", "short")
    assert "16" in refused(capsys, runs / "ppo")


def test_the_schema_is_printed_without_a_run(capsys):
    assert main(["serve", "--openapi"]) == 0
    assert "/select_action" in json.loads(capsys.readouterr().out)["paths"]


@pytest.mark.verify
def test_sixty_four_clients_for_a_minute_see_whole_versions_alone(runs, tmp_path):
    """No error, no answer of half an update, no lost experience, while the policy is updated again and again."""
    served = Served(runs / "ppo", tmp_path / "folder")
    with served:
        ended = threading.Event()
        rows = observations(16)
        seen, errors, stored = {}, [], []

        def ask(seed):
            client = served.client()
            rng = np.random.default_rng(seed)

            def post(path, body):
                response = client.request("POST", path, body=json.dumps(body).encode())
                assert response.status == 200, response.content
                return json.loads(response.content)

            try:
                while not ended.is_set():
                    i = int(rng.integers(len(rows)))
                    answer = post("/select_action", {"observation": rows[i].tolist()})
                    key = (answer["policy_version"], i)
                    seen.setdefault(key, []).append((answer["value"], answer["confidence"]))
                    body = {"decision_id": answer["decision_id"], "reward": float(rng.random()), "done": True}
                    post("/store_experience", body)
                    stored.append(body["decision_id"])
            except Exception as error:
                errors.append(error)

        clients = [threading.Thread(target=ask, args=(seed,)) for seed in range(64)]
        for client in clients:
            client.start()
        until, updates = time.monotonic() + 60, 0
        while time.monotonic() < until:
            response = served.client().request("POST", "/update", body=b"{}")
            assert response.status == 200
            updates += json.loads(response.content)["updated"]
        ended.set()
        for client in clients:
            client.join()
        stats = json.loads(served.client().request("GET", "/stats").content)
    assert errors == []
    assert updates >= 2
    assert len({version for version, _ in seen}) >= 3
    assert stats["experiences"] == len(stored) == len(set(stored))
    for answers in seen.values():  # what one version says of one observation; the last bits depend on the batch
        np.testing.assert_allclose(answers, np.broadcast_to(answers[0], (len(answers), 2)), rtol=1e-4, atol=1e-6)
