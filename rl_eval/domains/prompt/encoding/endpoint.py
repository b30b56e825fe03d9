"""An encoder behind an OpenAI-compatible `/v1/embeddings`; its vectors cannot be made again without it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rl_eval.domains.prompt.encoding.encoder import WIDTH, FittedEncoder, Identity
from rl_eval.errors import InputError
from rl_eval.net.address import AddressError, parse_base_url
from rl_eval.net.client import Client, Limits, RequestError

KEY_VARIABLE = "OPENAI_API_KEY"
BATCH = 64  # texts of a request
MAX_TRIES = 4
_RETRIED = (408, 429, 500, 502, 503, 504)
MAX_KEPT = 20_000  # embeddings, of 6 kB each
_BYTES_PER_TEXT = 64 << 10  # a number takes some 25 characters


class EndpointEncoder:
    """Embeddings from `<base URL>/embeddings`, scaled to length 1; equal texts are asked for once, for any thread.

    Args:
        base_url: such as `https://api.openai.com/v1`.
        model: its name there; it must give 1536 columns.
        sleep: waits so many seconds.

    Raises:
        InputError: no URL, or no key: the environment's `OPENAI_API_KEY`. An endpoint on this machine needs none.
    """

    def __init__(self, base_url: str, model: str, *, sleep: Callable[[float], None] = time.sleep):
        try:
            self._url = parse_base_url(base_url)
        except AddressError as error:
            raise InputError(f"env.encoder_url {error}: use one such as https://api.example.com/v1") from error
        key = os.environ.get(KEY_VARIABLE, "")
        if not key and not self._url.is_loopback:
            raise InputError(f"the encoder at {self._url} needs a key: set {KEY_VARIABLE} in the environment")
        if not key.isascii() or not key.isprintable():
            raise InputError(f"{KEY_VARIABLE} contains characters that a key cannot have: set it again")
        self._client = Client(self._url, Limits(total_s=60.0, max_bytes=BATCH * _BYTES_PER_TEXT), trust_env=True)
        self._headers = [("Authorization", f"Bearer {key}")] if key else []
        self._model, self._sleep = model, sleep
        self._vectors: dict[str, np.ndarray] = {}  # the latest of them
        self._lock = threading.Lock()
        digest = hashlib.sha256(f"endpoint\0{self._url}\0{model}\0{WIDTH}".encode()).hexdigest()
        self.identity = Identity(
            name=f"endpoint {model}"[:200], version=str(self._url)[:200], width=WIDTH, digest=digest
        )

    def to_json(self) -> FittedEncoder:
        """The identity; nothing is fitted."""
        return FittedEncoder(identity=self.identity)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Texts to float32 `[N, WIDTH]` of length 1.

        Raises:
            InputError: the endpoint cannot be reached, or does not give embeddings of that width.
        """
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
            for first in range(0, len(new), BATCH):
                batch = new[first : first + BATCH]
                self._vectors.update(zip(batch, self._ask(batch), strict=True))
            rows = np.array([self._vectors[text] for text in texts], np.float32).reshape(-1, WIDTH)
            for text in list(itertools.islice(self._vectors, max(len(self._vectors) - MAX_KEPT, 0))):
                del self._vectors[text]
        return rows

    def _ask(self, texts: Sequence[str]) -> np.ndarray:
        body = json.dumps({"model": self._model, "input": list(texts), "encoding_format": "float"}).encode()
        problem = ""
        for attempt in range(MAX_TRIES):
            try:
                response = self._client.request("POST", "/embeddings", self._headers, body)
            except RequestError as error:
                if error.kind not in ("unreachable", "timeout", "too_slow"):
                    raise InputError(f"the encoder cannot be asked ({error}): check env.encoder_url") from error
                problem = str(error)
            else:
                if response.status == 200:
                    return self._read(response.content, len(texts))
                problem = f"{self._url}/embeddings answered with status {response.status}"
                if response.status not in _RETRIED:
                    hint = "check the key" if response.status in (401, 403) else "check the URL and the model"
                    raise InputError(f"the encoder {self._model} does not answer ({problem}): {hint}")
            if attempt + 1 < MAX_TRIES:
                self._sleep(2.0**attempt)
        raise InputError(f"the encoder {self._model} did not answer in {MAX_TRIES} tries ({problem}): try again later")

    def _read(self, content: bytes, count: int) -> np.ndarray:
        try:
            answer: Any = json.loads(content)
            by_index = {entry["index"]: entry["embedding"] for entry in answer["data"]}
            rows = np.array([by_index[i] for i in range(count)], np.float64)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InputError(
                f"{self._url} does not answer like an OpenAI-compatible endpoint: check the URL"
            ) from error
        if rows.ndim != 2 or rows.shape[1] != WIDTH:
            width = rows.shape[1] if rows.ndim == 2 else "no"
            raise InputError(
                f"the encoder {self._model} gives embeddings of {width} columns, but {WIDTH} are needed: name another "
                "model as env.encoder_model"
            )
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        if not np.isfinite(rows).all() or not all(0.0 < norm < math.inf for norm in norms.ravel()):
            raise InputError(f"the encoder {self._model} gives embeddings that are not finite or 0: name another model")
        return (rows / norms).astype(np.float32)
