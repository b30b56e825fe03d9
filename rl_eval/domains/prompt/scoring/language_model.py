"""Scores of prompts by a language model in a GGUF file, on this machine's CPU (extra `llm`)."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_eval.domains.prompt.scoring.item_prompt import CONTENT_FREE_INPUTS, item_prompt
from rl_eval.domains.prompt.scoring.scores import Score, score_labels
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.errors import InputError
from rl_eval.extras import imports_of_extra
from rl_eval.formatting import brief, escape_controls
from rl_eval.net.address import parse_base_url
from rl_eval.net.client import Client, Limits
from rl_eval.untrusted_files import only_regular

CONTEXT_TOKENS = 8192
# Added to the logits of the labels, so that they take all of the probability: a softmax over only the labels.
_LABEL_BIAS = 40.0


def model_hash(path: Path) -> str:
    """16 hexadecimal digits of the SHA-256 of a model file.

    Raises:
        InputError: it cannot be read, or is not a GGUF file.
    """
    where = escape_controls(str(path))
    try:
        with open(path, "rb", opener=only_regular) as file:
            if file.read(4) != b"GGUF":
                raise InputError(f"{where} is not a GGUF file: name a language model in the GGUF format")
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise InputError(f"the model {where} cannot be read ({error.strerror}): make llm installs two") from error


class LanguageModel:
    """A language model that scores prompts, in this process.

    The beginning that a request shares with the one before is evaluated once.

    Args:
        path: a GGUF file.
        threads: of the CPU.

    Attributes:
        hash: see `model_hash`.
        name: the name of the file.

    Raises:
        InputError: the extra is missing, or the model cannot be loaded.
    """

    def __init__(self, path: Path, threads: int = 1):
        self.hash, self.name = model_hash(path), path.name
        with imports_of_extra("llm", "scoring with a language model"):
            from xllamacpp import CommonParams, Server
        parameters = CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel = CONTEXT_TOKENS, 1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.swa_full = True  # else models with sliding windows evaluate everything again
        parameters.verbosity = 0
        key = secrets.token_hex(16)
        parameters.api_keys = [key]
        try:
            self._server = Server(parameters)
        except RuntimeError as error:
            reason = brief(" ".join(str(error).split()), 120)
            raise InputError(f"the model {escape_controls(str(path))} cannot be loaded ({reason})") from error
        self._client = Client(parse_base_url(self._server.listening_address), Limits(total_s=60))
        self._headers = [("Authorization", f"Bearer {key}")]
        self._label_tokens: dict[tuple[str, ...], tuple[list[int], list[int]]] = {}

    def score(self, prompt: str, task: Task) -> Score:
        """The score of a prompt on the test items of a task.

        Raises:
            InputError: two labels begin with the same token, or the prompt is longer than the model reads.
        """
        content_free = self.content_free(prompt, task.labels)
        probabilities = self.label_probabilities(prompt, task.labels, [item.text for item in task.test])
        return score_labels(probabilities, content_free, task.right())

    def content_free(self, prompt: str, labels: Sequence[str]) -> np.ndarray:
        """The probability of each label `[L]` where the input says nothing: the mean over `CONTENT_FREE_INPUTS`."""
        return self.label_probabilities(prompt, labels, CONTENT_FREE_INPUTS).mean(axis=0)

    def label_probabilities(self, prompt: str, labels: Sequence[str], texts: Sequence[str]) -> np.ndarray:
        """The probability of each label for each input `[I, L]`; rows add up to 1.

        Raises:
            InputError: as `score`.
        """
        start, tokens = self.label_tokens(labels)
        rows = np.array([self._probabilities(item_prompt(prompt, text), start, tokens) for text in texts])
        return rows / rows.sum(axis=1, keepdims=True)

    def label_tokens(self, labels: Sequence[str]) -> tuple[list[int], list[int]]:
        """The tokens that all labels after a blank begin with, and the first token of each that comes then.

        Raises:
            InputError: two labels share that too, or one is the beginning of another.
        """
        known = self._label_tokens.get(tuple(labels))
        if known is not None:
            return known
        tokens = [self._tokens(f" {label}") for label in labels]
        shared = 0
        while all(len(row) > shared and row[shared] == tokens[0][shared] for row in tokens):
            shared += 1
        following = [row[shared] for row in tokens if len(row) > shared]
        if len(set(following)) < len(tokens):
            raise InputError(
                f"two of the labels {brief(', '.join(labels), 120)} begin with the same token in {self.name}: use "
                "labels that begin differently"
            )
        self._label_tokens[tuple(labels)] = (tokens[0][:shared], following)
        return self._label_tokens[tuple(labels)]

    def _tokens(self, text: str) -> list[int]:
        response = self._client.request("POST", "/tokenize", self._headers, json.dumps({"content": text}).encode())
        return [int(token) for token in json.loads(response.content)["tokens"]]

    def _probabilities(self, text: str, start: Sequence[int], tokens: Sequence[int]) -> list[float]:
        """The probability of each of `tokens` after a text and the tokens `start`, renormalised over `tokens`."""
        answer: dict[str, Any] = self._server.handle_completions({
            "prompt": [text, *start] if start else text, "n_predict": 1, "cache_prompt": True, "seed": 1,
            "n_probs": len(tokens), "post_sampling_probs": True, "samplers": ["temperature"], "temperature": 1.0,
            "logit_bias": [[token, _LABEL_BIAS] for token in tokens],
        })  # fmt: skip
        if "choices" not in answer:
            reason = brief(" ".join(str(answer).split()), 160)
            raise InputError(f"{self.name} did not evaluate a prompt of {len(text):,} characters ({reason})")
        top = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
        by_token = {entry["id"]: float(entry["prob"]) for entry in top}
        return [max(by_token.get(token, 0.0), 1e-12) for token in tokens]
