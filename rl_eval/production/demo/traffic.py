"""Traffic for a server: an environment whose observations are sent to it, and whose rewards follow."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rl_eval import domains
from rl_eval.errors import InputError
from rl_eval.net import Client, Limits, RequestError, Url

COPIES = 32
CLIENTS = 8  # that say what followed, at the same time
LIMITS = Limits(total_s=30.0, max_bytes=8 << 20)
JSON = (("content-type", "application/json"),)


class Traffic:
    """Clients of a server, as many as the environment has copies.

    Args:
        server: where it listens.
        env: the environment, a mapping with `name`; its training part is the traffic.
        preprocessing: that of the served run, so that observations mean the same.
        name: begins the units' names.

    Raises:
        InputError: the environment cannot be made here.
    """

    def __init__(self, server: Url, env: Mapping[str, Any], preprocessing: Mapping[str, Any] | None, name: str):
        config = domains.validate(dict(env))
        domain = domains.domain(config.name)
        self._config = domain.with_preprocessing(config, preprocessing)
        # Where no decision has a bearing on another, each is about somebody else, and ends there.
        self._alone = bool(domain.independent_cases(self._config))
        self._vector = domains.make(self._config, n_envs=COPIES, part="train")
        self._server, self._name = server, name
        self._own, self._clients = threading.local(), list[Client]()
        self._senders = ThreadPoolExecutor(CLIENTS)
        self._observations, self._infos = self._vector.reset(seed=1)
        self._episode = np.zeros(COPIES, int)
        self.sent = 0
        self.rewards: list[float] = []
        self.versions: list[str] = []

    def send(self, count: int) -> None:
        """Let at least `count` decisions be made, and say what followed.

        Raises:
            InputError: the server refuses, or does not answer.
        """
        goal = self.sent + count
        while self.sent < goal:
            self._step()

    def _step(self) -> None:
        units = [
            f"{self._name}-{self.sent + copy}" if self._alone else f"{self._name}-{copy}-{self._episode[copy]}"
            for copy in range(COPIES)
        ]
        observed = np.asarray(self._observations, np.float64)
        body: dict[str, Any] = {"observation": observed.tolist(), "unit": units}
        if (mask := self._infos.get("action_mask")) is not None:
            body["mask"] = np.asarray(mask, bool).tolist()
        answer = self._post("select_action", body)
        actions = np.asarray(answer["action"])
        self._observations, rewards, terminated, truncated, self._infos = self._vector.step(actions)
        versions = answer["policy_version"]
        self.versions += [versions] * COPIES if isinstance(versions, str) else versions
        self.rewards += [float(reward) for reward in rewards]
        followed = [
            {"decision_id": decision_id, "reward": float(rewards[copy]), **self._end(copy, terminated, truncated)}
            for copy, decision_id in enumerate(answer["decision_id"] or ())
        ]
        list(self._senders.map(lambda body: self._post("store_experience", body), followed))
        self._episode += np.asarray(terminated | truncated, int)
        self.sent += COPIES

    def _end(self, copy: int, terminated: np.ndarray, truncated: np.ndarray) -> dict[str, Any]:
        if self._alone or terminated[copy]:
            return {"done": True}
        if truncated[copy]:
            final = np.asarray(self._infos["final_obs"][copy], np.float64).tolist()
            return {"done": True, "truncated": True, "next_observation": final}
        return {"done": False}

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        client = getattr(self._own, "client", None)
        if client is None:
            self._own.client = client = Client(self._server, LIMITS)
            self._clients.append(client)
        try:
            response = client.request("POST", f"/{path}", JSON, json.dumps(body).encode())
        except RequestError as error:
            raise InputError(f"the server of the demo does not answer ({error})") from error
        answer = json.loads(response.content)
        if response.status != 200:
            raise InputError(f"the server of the demo refuses: {answer.get('detail', response.status)}")
        return answer

    def close(self) -> None:
        """End the clients."""
        self._senders.shutdown()
        for client in self._clients:
            client.close()
        self._vector.close()
