"""Policies behind a server: requests, valid and invalid responses, limits, trust and proxies."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from rl_eval.domains import cartpole
from rl_eval.errors import InputError
from rl_eval.net import Limits
from rl_eval.policy import Policy, Spaces, _http, load
from rl_eval.rollout import play

OBS = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32)
TWO = gym.spaces.Discrete(2)
BOX = gym.spaces.Box(np.array([-2, 0], np.float32), np.array([1, 0.7], np.float32))


@pytest.fixture
def server():
    """A server whose `answer(request) -> (status, headers, chunks)` a test sets; it keeps its `requests`."""

    class PolicyHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else an answer in two parts waits 40 ms for its second

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            stand_in.requests.append((self.path, dict(self.headers), json.loads(body)))
            status, headers, chunks = stand_in.answer(stand_in.requests[-1][2])
            self.send_response(status)
            for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def do_GET(self):
            raise AssertionError("policies get POST requests only")

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            pass  # the client hung up, as it should

    stand_in = Quiet(("127.0.0.1", 0), PolicyHandler)
    stand_in.requests = []
    stand_in.url = f"http://127.0.0.1:{stand_in.server_port}/act"
    threading.Thread(target=stand_in.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield stand_in
    stand_in.shutdown()
    stand_in.server_close()


def answers(value, status=200, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda request: (status, headers, [body])


def observations(n=3):
    return np.arange(4 * n, dtype=np.float32).reshape(n, 4) / 7


def policy(server, action=TWO, **changes):
    return load(server.url, Spaces("cartpole", OBS, action), None, **changes)


def balance(request):
    """Push to the side on which the pole falls."""
    return 200, {}, [json.dumps({"actions": [int(obs[2] + obs[3] > 0) for obs in request["observations"]]}).encode()]


def test_a_batch_of_observations_is_answered_with_actions(server):
    server.answer = lambda request: answers({"actions": [int(request["greedy"])] * len(request["observations"])})(
        request
    )
    remote = policy(server)
    assert isinstance(remote, Policy)
    assert remote.act(observations(), True).tolist() == [1, 1, 1]
    assert remote.act(observations(2), False).tolist() == [0, 0]
    path, headers, request = server.requests[0]
    assert path == "/act"
    assert headers["Content-Type"] == "application/json"
    assert np.array_equal(np.array(request["observations"], np.float32), observations())  # to the last bit
    assert request["greedy"] is True
    assert request["episode_start"] == [True] * 3
    assert request["seed"] == 0
    assert "mask" not in request


def test_a_server_plays(server):
    server.answer = balance
    envs = cartpole.DOMAIN.make(cartpole.Config(), n_envs=4, part="test", autoreset=False)
    played = play(envs, load(server.url, Spaces.of(cartpole.Config(), envs), None), seeds=range(4))
    assert played.lengths.mean() > 150


def test_continuous_actions_have_the_type_of_the_box(server):
    server.answer = answers({"actions": [[-2, 0.5], [0, 0.7], [0.25, 0]]})
    actions = policy(server, BOX).act(observations(), True)
    assert actions.dtype == np.float32
    np.testing.assert_array_equal(actions, np.float32([[-2, 0.5], [0, 0.7], [0.25, 0]]))


WRONG = {
    "not JSON": (answers(b"<html>"), TWO, "answered with something that is not JSON$"),
    "not text": (answers(b"\xff\xfe\xfa"), TWO, "answered with something that is not JSON$"),
    "nothing": (answers(b""), TWO, "answered with something that is not JSON$"),
    "very deep": (answers(b"[" * 200_000), TWO, "answered with something that is not JSON$"),
    "a list": (answers([1, 1, 1]), TWO, r'answered without a list of actions: answer \{"actions": \[…\]\}$'),
    "another key": (answers({"action": [1, 1, 1]}), TWO, "answered without a list of actions"),
    "one for all": (answers({"actions": 1}), TWO, "answered without a list of actions"),
    "too few": (answers({"actions": [1, 1]}), TWO, r"returned actions of shape \(2,\) for 3 observations"),
    "ragged": (answers({"actions": [[1], [1, 1], 1]}), BOX, "returned rows of different lengths"),
    "no action": (answers({"actions": [0, 1, 2]}), TWO, r"returned .*every action must be in Discrete\(2\)$"),
    "huge": (answers({"actions": [0, 1, 10**30]}), TWO, r"returned the object action 0 for observation 0"),
    "fractions": (
        answers({"actions": [0.0, 1.0, 0.5]}),
        TWO,
        r"returned the float64 action 0\.0 for",
    ),
    "outside": (
        answers({"actions": [[0, 0], [1.5, 0], [0, 0]]}),
        BOX,
        r"returned .* \[1\.5, 0\.0\] for observation 1 of 3",
    ),
    "yes and no": (
        answers({"actions": [True, False, True]}),
        TWO,
        "returned the bool action True for",
    ),
    "words": (answers({"actions": ["a", "b", "c"]}), TWO, "returned the <U1 action a for"),
    "null": (answers({"actions": [None, 1, 1]}), TWO, "returned the object action None for"),
    "NaN": (
        answers(b'{"actions": [[NaN, 0], [0, 0], [0, 0]]}'),
        BOX,
        r"returned the float64 action \[nan, 0\.0\] for",
    ),
    "a failure": (answers({"actions": [1, 1, 1]}, 500), TWO, "answered with status 500: see the server's log$"),
    "a redirect": (answers(b"", 307, Location="/elsewhere"), TWO, "answered with status 307"),
}


@pytest.mark.parametrize(("answer", "action", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_one_sentence(server, answer, action, message):
    server.answer = answer
    with pytest.raises(InputError, match=rf"^policy http://127\.0\.0\.1:\d+/act {message}") as error:
        policy(server, action).act(observations(), True)
    assert "\n" not in str(error.value)
    assert len(server.requests) == 1  # no redirect is followed, and nothing is tried twice


def test_an_endless_answer_is_cut(server, monkeypatch):
    monkeypatch.setattr(_http, "LIMITS", Limits(max_bytes=1 << 20))
    server.answer = lambda request: (200, {}, (b" " * (1 << 16) for _ in iter(int, 1)))
    with pytest.raises(InputError, match=r"does not answer: the answer has more than 1 MiB$"):
        policy(server).act(observations(), True)


def slowly(pause):
    while True:
        time.sleep(pause)
        yield b" "


def test_a_slow_response_times_out(server, monkeypatch):
    monkeypatch.setattr(_http, "LIMITS", Limits(total_s=60, wait_s=0.1))
    server.answer = lambda request: (200, {}, slowly(1))
    with pytest.raises(InputError, match=r"no answer within 0\.1 s$"):
        policy(server).act(observations(), True)
    monkeypatch.setattr(_http, "LIMITS", Limits(total_s=0.3, wait_s=60))
    server.answer = lambda request: (200, {}, slowly(0.05))
    with pytest.raises(InputError, match=r"no answer within 0\.3 s$"):
        policy(server).act(observations(), True)


def test_no_server_is_an_error_of_the_first_request(server):
    remote = policy(server)
    server.shutdown()
    server.server_close()
    with pytest.raises(
        InputError, match=r"^policy http://127.*/act does not answer: no connection .*: start its server first$"
    ):
        remote.act(observations(), True)


def test_observations_that_are_not_finite_are_refused(server):
    with pytest.raises(InputError, match=r"an observation is not finite, which JSON cannot express$"):
        policy(server).act(np.full((1, 4), np.nan, np.float32), True)
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/act",
        "https://10.0.0.7:8000/act",
        "http://127.0.0.1.example.org/",
        "http://[2001:db8::1]/act",
        "http://0.0.0.0/",
    ],
)
def test_observations_leave_the_machine_only_where_that_is_trusted(url):
    with pytest.raises(InputError, match=r"sends observations to another machine, .*: add --trust .*--rl-trust"):
        load(url, Spaces("cartpole", OBS, TWO), None)
    assert isinstance(load(url, Spaces("cartpole", OBS, TWO), None, trust=True), Policy)


@pytest.mark.parametrize("url", ["http://127.9.9.9/", "http://[::1]:80/act", "https://localhost/act"])
def test_this_machine_needs_no_trust(url):
    assert isinstance(load(url, Spaces("cartpole", OBS, TWO), None), Policy)


@pytest.mark.parametrize(
    "url", ["http://", "http:///act", "http://a:secret@127.0.0.1/", "http://127.0.0.1:no/", "http:x"]
)
def test_an_invalid_url_is_an_error_without_the_password(url):
    with pytest.raises(InputError, match=r"^policy .*http://127\.0\.0\.1:<port>/<path>$") as error:
        load(url, Spaces("cartpole", OBS, TWO), None)
    assert "secret" not in str(error.value)


def test_proxies_of_the_environment_do_not_see_this_machine(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.answer = answers({"actions": [1, 0, 1]})
    assert policy(server).act(observations(), True).tolist() == [1, 0, 1]


# In the place of d3rlpy: pushes to the side on which the pole falls.
LIBRARY = """
import numpy as np


class Policy:
    def predict(self, x):
        return (x[:, 2] + x[:, 3] > 0).astype(np.int64)


def load_learnable(file):
    return Policy()
"""


def test_the_server_in_the_docs_plays(tmp_path):
    """The snippet of docs/libraries.md, on a free port."""
    (tmp_path / "d3rlpy.py").write_text(LIBRARY)
    docs = (Path(__file__).parents[2] / "docs" / "libraries.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(# serve\.py\n.*?)```", docs, re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = subprocess.Popen([sys.executable, "-c", snippet.replace("8000", str(port))], cwd=tmp_path)
    try:
        url, config = f"http://127.0.0.1:{port}/act", cartpole.Config()
        envs = cartpole.DOMAIN.make(config, n_envs=4, part="test", autoreset=False)
        until = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", port)) and time.monotonic() < until:
            time.sleep(0.05)
        played = play(envs, load(url, Spaces.of(config, envs), None), seeds=range(4))
    finally:
        serving.kill()
        serving.wait()
    assert played.lengths.mean() > 150


LOGITS = [[0.0, 5.0], [5.0, 0.0], [0.0, 0.0]]
FORMS = {  # path -> what a server of that form answers to three observations
    "/invocations": {"predictions": {"action": [1, 0, 0], "logits": LOGITS}},
    "/v2/models/m/infer": {
        "model_version": "7",
        "outputs": [
            {"name": "action", "shape": [3], "datatype": "INT64", "data": [1, 0, 0]},
            {"name": "logits", "shape": [3, 2], "datatype": "FP32", "data": [0, 5, 5, 0, 0, 0]},
        ],
    },
}


@pytest.mark.parametrize(("path", "answer"), FORMS.items(), ids=FORMS)
def test_servers_of_other_forms_are_asked_in_theirs(server, monkeypatch, path, answer):
    server.answer = answers(answer)
    monkeypatch.setattr(_http.HttpPolicy, "_get", lambda self, path: {"inputs": [{"name": "x", "datatype": "FP64"}]})
    server.url = server.url.replace("/act", path)
    acting = policy(server)
    assert acting.act(observations(), True).tolist() == [1, 0, 0]
    request = server.requests[-1][2]
    if path == "/invocations":
        assert request == {"inputs": observations().tolist()}
    else:
        expected = {"name": "x", "shape": [3, 4], "datatype": "FP64"}
        assert {key: request["inputs"][0][key] for key in expected} == expected
    mask = np.array([[True, False], [True, True], [False, True]])
    assert acting.act(observations(), True, mask).tolist() == [0, 0, 1]
    drawn = np.stack([acting.act(observations(), False) for _ in range(50)])
    assert set(drawn[:, 2]) == {0, 1}
    again = policy(server)
    assert np.array_equal([again.act(observations(), False) for _ in range(50)], drawn)  # from the seed


@pytest.mark.parametrize("path", ["/act", "/select_action", "/v2/models/m/infer", "/invocations"])
def test_the_token_of_the_environment_is_sent(server, monkeypatch, path):
    token = "a-token-of-sixteen-characters"
    seen = []

    def asked(request):
        seen.append(server.requests[-1][1].get("Authorization"))
        if seen[-1] != f"Bearer {token}":
            return answers({"detail": "this needs\x1b[31m the header"}, 401)(request)
        return answers({"actions": [1, 1, 1]} | {"action": [1, 1, 1]} | FORMS.get(path, {}))(request)

    server.answer, server.url = asked, server.url.replace("/act", path)
    monkeypatch.setattr(_http.HttpPolicy, "_get", lambda self, path: None)
    monkeypatch.delenv("RL_EVAL_TOKEN", raising=False)
    with pytest.raises(InputError, match=r"status 401 \(this needs.*the header\): set RL_EVAL_TOKEN") as error:
        policy(server).act(observations(), True)
    assert "\x1b" not in str(error.value)
    monkeypatch.setenv("RL_EVAL_TOKEN", token)
    with pytest.raises(InputError, match="sends the secret of RL_EVAL_TOKEN"):
        policy(server)
    assert policy(server, trust=True).act(observations(), True).shape == (3,)
    assert seen == [None, f"Bearer {token}"]
    monkeypatch.setenv("RL_EVAL_TOKEN", "two words")
    with pytest.raises(InputError, match="RL_EVAL_TOKEN"):
        policy(server, trust=True)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/invocations", {"predictions": {"a": [1, 0, 0], "b": [1, 0, 0]}}),
        ("/invocations", {"predictions": {"action": 1}}),
        ("/invocations", {"predictions": [[1], [0, 1], [0]]}),
        ("/v2/models/m/infer", {"outputs": [{"name": "action", "shape": [4], "data": [1, 0, 0]}]}),
        ("/v2/models/m/infer", {"outputs": [{"name": "logits", "shape": [3, 3], "data": [0.0] * 9}]}),
        ("/v2/models/m/infer", {"outputs": [{"name": "logits", "shape": [3, 2], "data": ["a"] * 6}]}),
        ("/v2/models/m/infer", {"outputs": 3}),
        ("/select_action", {"action": 1}),
    ],
)
def test_wrong_answers_of_other_forms_are_one_sentence(server, monkeypatch, path, answer):
    server.answer = answers(answer)
    monkeypatch.setattr(_http.HttpPolicy, "_get", lambda self, path: None)
    server.url = server.url.replace("/act", path)
    with pytest.raises(InputError, match=r"^policy http://127\.0\.0\.1:\d+") as error:
        policy(server).act(observations(), True)
    assert "\n" not in str(error.value)
