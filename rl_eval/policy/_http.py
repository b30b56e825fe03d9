"""`http://127.0.0.1:<port>/<path>`: a policy behind a server, in any language.

It gets `POST {"observations": [[…], …], "greedy": true, "seed": 0, "episode_start": [true, …]}` and answers
`{"actions": […]}`, one action per observation: whole numbers for Discrete actions, lists of numbers for a Box. Row i
is that of the same copy from request to request; `episode_start` says whether an observation is the first of an
episode. All that the server draws at random follows from `seed`, the same in each request, from where all episodes
start. Where actions can be illegal, `mask` has a list of booleans per observation. A server that answers with a
`version`, a text, makes each version a policy of its own.

URLs of `rl-eval serve`, of the Open Inference Protocol (KServe v2) and of MLflow are asked in their own forms; see
`_http_protocols`.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.envs.space_values import space_text
from rl_eval.errors import InputError
from rl_eval.formatting import escape_controls, mask_url
from rl_eval.net import (
    TOKEN_VARIABLE,
    AddressError,
    Client,
    Limits,
    RequestError,
    Response,
    Url,
    environment_token,
    parse_url,
)
from rl_eval.policy._actions import actions_from, checked_actions
from rl_eval.policy._http_protocols import Question, protocol_of
from rl_eval.policy._identity import digest
from rl_eval.policy._policy import Policy, Spaces, starts
from rl_eval.policy._source import Source

MAX_VERSION = 200  # characters
MAX_SENTENCE = 300  # characters of a server's own words
LIMITS = Limits(total_s=30.0, wait_s=10.0, max_bytes=16 << 20)


# The version that each server answered with last, by URL: only playing it can show that.
_VERSIONS: dict[str, str] = {}


class HttpPolicy:
    """A server that answers observations with actions."""

    def __init__(self, client: Client, spaces: Spaces, seed: int):
        self._client, self._name, self._seed = client, str(client.url), seed
        self._action, self._observation = spaces.action, spaces.observation
        token = environment_token()
        self._headers = [] if token is None else [("Authorization", f"Bearer {token}")]
        self._rng = np.random.default_rng(seed)  # of actions that are drawn here
        self._draw_seeds = np.random.default_rng([seed, 1])  # of those that the server draws
        self._protocol = protocol_of(client.url.path, self._get)
        self._version: str | None = None  # of the first answer
        self._answered = False

    def act(
        self,
        obs: np.ndarray,
        greedy: bool,
        mask: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
    ) -> np.ndarray:
        """The server's actions.

        Raises:
            InputError: it cannot be reached in time, or answers anything except one action per observation.
        """
        draw_seed = int(self._draw_seeds.integers(2**53))
        started = starts(episode_start, len(obs))
        question = Question(np.asarray(obs), bool(greedy), self._seed, started, mask, draw_seed, self._observation)
        try:
            request = self._protocol.request(question)
            body = json.dumps(request, allow_nan=False)
        except ValueError as error:
            raise InputError(f"policy {self._name}: an observation is not finite, which JSON cannot express") from error
        except InputError as error:
            raise InputError(f"policy {self._name} {error}") from error
        try:
            content = json.loads(self._post(body.encode()))
        except (ValueError, RecursionError) as error:
            raise InputError(f"policy {self._name} answered with something that is not JSON") from error
        try:
            answer = self._protocol.read(content if isinstance(content, dict) else {}, question)
        except InputError as error:
            raise InputError(f"policy {self._name} {error}") from error
        self._check_version(answer.version)
        actions = answer.actions
        if answer.logits is not None:
            self._check_logits(answer.logits, len(obs))
            rng = None if greedy else self._rng
            actions = actions_from(answer.logits, np.zeros(()), self._action, rng, mask)
        return checked_actions(actions, len(obs), self._action, self._name)

    def _check_logits(self, logits: np.ndarray, n: int) -> None:
        expected = (n, int(self._action.n)) if isinstance(self._action, gym.spaces.Discrete) else None
        if logits.shape != expected or not np.isfinite(logits).any(axis=1).all():
            raise InputError(
                f"policy {self._name} answered with probabilities of shape {logits.shape} for {n} observations: "
                f"this environment takes {space_text(self._action)}"
            )

    def _check_version(self, version: Any) -> None:
        if version is not None and not (isinstance(version, str) and len(version) <= MAX_VERSION):
            raise InputError(
                f"policy {self._name} answered with a version that is not text of at most {MAX_VERSION} characters"
            )
        if not self._answered:
            self._answered, self._version = True, version
            _VERSIONS[self._name] = version or ""
        elif version != self._version:
            raise InputError(f"policy {self._name} changed its version while it played: judge it again")

    def _get(self, path: str) -> dict[str, Any] | None:
        """The JSON object at another path of the server; None if there is none."""
        url = replace(self._client.url, path=path, query="")
        try:
            response = Client(url, LIMITS, trust_env=not url.is_loopback).request("GET", headers=self._headers)
        except RequestError as error:
            raise InputError(f"does not answer: {error.reason}: start its server first") from error
        try:
            value = json.loads(response.content) if response.status == 200 else None
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    def _post(self, body: bytes) -> bytes:
        try:
            response = self._client.request("POST", headers=self._headers, body=body)
        except RequestError as error:
            advice = ": start its server first" if error.kind == "unreachable" else ""
            raise InputError(f"policy {self._name} does not answer: {error.reason}{advice}") from error
        if response.status != 200:
            raise InputError(f"policy {self._name} answered with status {response.status}{_reason(response)}")
        return response.content


def _reason(response: Response) -> str:
    """The end of the sentence about a status: the server's own sentence where it has one, and what to do."""
    text = _own_words(response.content)
    sentence = f" ({escape_controls(' '.join(text[:MAX_SENTENCE].split()))})" if text else ""
    if response.status == 401:
        return f"{sentence}: set {TOKEN_VARIABLE} to the server's token"
    return f"{sentence}: see the server's log"


def _own_words(content: bytes) -> str:
    """What a server says of its error: FastAPI's `detail`, KServe's `error`, MLflow's `message`, or plain text."""
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        text = content[: 4 * MAX_SENTENCE].decode(errors="replace").strip()
        return "" if text.startswith("<") else text  # a page for people
    values = values if isinstance(values, dict) else {}
    for key in ("detail", "error", "message"):
        value = values.get(key)
        if isinstance(value, list) and value and isinstance(value[0], dict):  # of a validation
            value = value[0].get("msg")
        if isinstance(value, str) and value:
            return value
    return ""


class HttpSource(Source):
    """A policy server: `rl-eval serve`, KServe v2, MLflow, or your own. Another machine than this one needs trust.

    Args:
        scheme: `http` or `https`.
    """

    def __init__(self, scheme: str):
        self.prefix = scheme
        self.usage = f"{scheme}://127.0.0.1:<port>/<path>"

    def needs_trust(self, rest: str) -> str | None:
        """A server on another machine needs trust, and so does any server where there is a token to send.

        Raises:
            InputError: not a URL.
        """
        url = self._url(rest)
        if not url.is_loopback:
            return f"sends observations to another machine, {url.host}"
        # a suite may name any server and path
        return f"sends the secret of {TOKEN_VARIABLE} to a server" if os.environ.get(TOKEN_VARIABLE) else None

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The policy behind the URL; no request is sent yet.

        Raises:
            InputError: not a URL.
        """
        url = self._url(rest)
        try:
            # Only a server elsewhere is reached through the proxies of the environment.
            return HttpPolicy(Client(url, LIMITS, trust_env=not url.is_loopback), spaces, seed)
        except AddressError as error:
            raise InputError(f"policy {url} {error}") from error

    def identity(self, rest: str) -> str | None:
        """A hash of the URL and, once it was played, of the version that it answered with."""
        url = str(self._url(rest))
        return digest("http", url, _VERSIONS.get(url, ""))

    def _url(self, rest: str) -> Url:
        text = f"{self.prefix}:{rest}"
        try:
            return parse_url(text)
        except AddressError as error:
            name = mask_url(text)
            raise InputError(f"policy {name!r} {error}: give http://127.0.0.1:<port>/<path>") from error
