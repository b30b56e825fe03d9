"""`http://127.0.0.1:<port>/<path>`: a policy behind a server, in any language.

It gets `POST {"observations": [[…], …], "greedy": true}` and answers `{"actions": […]}`, one action per
observation: whole numbers for Discrete actions, lists of numbers for a Box.
"""

from __future__ import annotations

import ipaddress
import json
import time
from typing import Any

import gymnasium as gym
import numpy as np

from rl_eval.errors import InputError
from rl_eval.policy._actions import checked_actions
from rl_eval.policy._policy import Policy, Spaces
from rl_eval.policy._source import Source

TIMEOUT = 10.0  # seconds for connecting, and for each part of an answer
DEADLINE = 30.0  # seconds for a whole answer
MAX_BYTES = 16 << 20


class HttpPolicy:
    """A server that answers observations with actions."""

    def __init__(self, client: Any, url: str, shown: str, action: gym.Space):
        self._client, self._url, self._shown, self._action = client, url, shown, action

    def act(self, obs: np.ndarray, greedy: bool) -> np.ndarray:
        """What the server answers, clipped to a Box.

        Raises:
            InputError: it cannot be reached in time, or answers anything but one action an observation.
        """
        try:
            request = json.dumps({"observations": np.asarray(obs).tolist(), "greedy": bool(greedy)}, allow_nan=False)
        except ValueError as error:
            raise InputError(f"policy {self._shown}: an observation is not finite, which JSON cannot say") from error
        try:
            answer = json.loads(self._post(request.encode()))
        except (ValueError, RecursionError) as error:
            raise InputError(f"policy {self._shown} answered with something that is not JSON") from error
        if not isinstance(answer, dict) or not isinstance(answer.get("actions"), list):
            raise InputError(f'policy {self._shown} answered without a list of actions: answer {{"actions": […]}}')
        return checked_actions(answer["actions"], len(obs), self._action, self._shown)

    def _post(self, body: bytes) -> bytes:
        import httpx

        until = time.monotonic() + DEADLINE
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        try:
            with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                if response.status_code != 200:
                    raise InputError(
                        f"policy {self._shown} answered with status {response.status_code}: look into the server's log"
                    )
                parts, size = [], 0
                for part in response.iter_raw():
                    parts.append(part)
                    size += len(part)
                    if size > MAX_BYTES:
                        raise InputError(f"policy {self._shown} answered with more than {MAX_BYTES >> 20} MiB")
                    if time.monotonic() > until:
                        raise InputError(f"policy {self._shown} took more than {DEADLINE:g} s for one answer")
                return b"".join(parts)
        except httpx.TimeoutException as error:
            raise InputError(f"policy {self._shown} did not answer within {TIMEOUT:g} s") from error
        except httpx.HTTPError as error:
            raise InputError(
                f"policy {self._shown} cannot be reached ({' '.join(str(error).split()) or type(error).__name__}): "
                "start its server first"
            ) from error


class HttpSource(Source):
    """Servers by URL.

    Args:
        scheme: `http` or `https`.
    """

    def __init__(self, scheme: str):
        self.prefix = scheme
        self.usage = f"{scheme}://127.0.0.1:<port>/<path>"

    def needs_trust(self, rest: str) -> str | None:
        """Where the server is on another machine.

        Raises:
            InputError: not a URL.
        """
        host = self._url(rest).host
        return None if _is_loopback(host) else f"sends observations to another machine, {host}"

    def load(self, rest: str, spec: str, spaces: Spaces, config: Any, seed: int) -> Policy:
        """The policy behind the URL; no request is sent yet.

        Raises:
            InputError: not a URL.
        """
        import httpx

        url = self._url(rest)
        # no redirects, which could lead elsewhere, and no proxy between this machine and itself
        client = httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=not _is_loopback(url.host))
        return HttpPolicy(client, str(url), f"{url.scheme}://{url.netloc.decode()}{url.path}", spaces.action)

    def _url(self, rest: str) -> Any:
        import httpx

        try:
            url = httpx.URL(f"{self.prefix}:{rest}")
        except (httpx.InvalidURL, ValueError) as error:
            raise InputError(
                f"policy '{self.prefix}:{rest}' is not a URL ({error}): give http://127.0.0.1:<port>/<path>"
            ) from error
        if not url.host or url.userinfo:
            raise InputError(
                f"policy {url.scheme}://…: give a host and no password, as in http://127.0.0.1:<port>/<path>"
            )
        return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
