"""Traffic for a server: an environment whose observations are sent to it, and whose rewards follow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from rl_eval import domains
from rl_eval.errors import InputError
from rl_eval.net import Client, Limits, RequestError, Url

LIMITS = Limits(total_s=30.0, max_bytes=8 << 20)
JSON = (("content-type", "application/json"),)


class Traffic:
    """Clients of a server, as many as the environment has copies. Rewards follow one call later, by decision id.

    Args:
        server: where it listens.
        env: the environment, a mapping with `name`; its training part is the traffic.
        preprocessing: that of the served run, so that observations mean the same.
        name: begins the units' names.
        copies: decisions of a request.
        seed: of the environment.

    Raises:
        InputError: the environment cannot be made here.
    """

    def __init__(
        self,
        server: Url,
        env: Mapping[str, Any],
        preprocessing: Mapping[str, Any] | None,
        name: str,
        copies: int,
        seed: int,
    ):
        config = domains.validate(dict(env))
        domain = domains.domain(config.name)
        config = domain.with_preprocessing(config, preprocessing)
        # Where no decision affects another, each is about somebody else, and ends there.
        self._alone = bool(domain.independent_cases(config))
        self._vector = domains.make(config, n_envs=copies, part="train")
        self._client, self._name, self._copies = Client(server, LIMITS), name, copies
        self._observations, self._infos = self._vector.reset(seed=seed)
        self._episode = np.zeros(copies, int)
        self._sent = 0
        self._followed: list[dict[str, Any]] = []

    def decide(self) -> tuple[list[str], np.ndarray]:
        """Send the rewards of the last decisions, and let one more be made by each copy.

        Returns:
            The versions that decided, and the rewards `[N]` that will follow.

        Raises:
            InputError: the server refuses, or does not answer.
        """
        self.settle()
        units = [
            f"{self._name}-{self._sent + copy}" if self._alone else f"{self._name}-{copy}-{self._episode[copy]}"
            for copy in range(self._copies)
        ]
        body: dict[str, Any] = {"observation": np.asarray(self._observations, np.float64).tolist(), "unit": units}
        if (mask := self._infos.get("action_mask")) is not None:
            body["mask"] = np.asarray(mask, bool).tolist()
        answer = self._post("select_action", body)
        self._observations, rewards, terminated, truncated, self._infos = self._vector.step(
            np.asarray(answer["action"])
        )
        self._followed = [
            {"decision_id": decision_id, "reward": float(rewards[copy]), **self._end(copy, terminated, truncated)}
            for copy, decision_id in enumerate(answer["decision_id"] or ())
        ]
        self._episode += np.asarray(terminated | truncated, int)
        self._sent += self._copies
        versions = answer["policy_version"]
        return [versions] * self._copies if isinstance(versions, str) else versions, np.asarray(rewards, np.float64)

    def settle(self) -> None:
        """Send the rewards that have not been sent yet."""
        for body in self._followed:
            self._post("store_experience", body)
        self._followed = []

    def _end(self, copy: int, terminated: np.ndarray, truncated: np.ndarray) -> dict[str, Any]:
        if self._alone or terminated[copy]:
            return {"done": True}
        if truncated[copy]:
            final = np.asarray(self._infos["final_obs"][copy], np.float64).tolist()
            return {"done": True, "truncated": True, "next_observation": final}
        return {"done": False}

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = self._client.request("POST", f"/{path}", JSON, json.dumps(body).encode())
        except RequestError as error:
            raise InputError(f"the server of the demo does not answer ({error})") from error
        answer = json.loads(response.content)
        if response.status != 200:
            raise InputError(f"the server of the demo refuses: {answer.get('detail', response.status)}")
        return answer

    def close(self) -> None:
        """End the clients."""
        self._client.close()
        self._vector.close()
