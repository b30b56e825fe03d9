"""A language model behind an OpenAI-compatible endpoint as a judge: bounded in calls and money, cached, repeatable."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from rl_eval.domains.prompt.scoring.answer_cache import AnswerCache
from rl_eval.domains.prompt.scoring.answers import (
    UnreadableError,
    named_label,
    read_grade,
    read_probabilities,
    refuse_equal_beginnings,
)
from rl_eval.domains.prompt.scoring.budget import Budget
from rl_eval.domains.prompt.scoring.item_prompt import CONTENT_FREE_INPUTS, item_prompt
from rl_eval.domains.prompt.scoring.judge import right_log_likelihoods
from rl_eval.domains.prompt.scoring.scores import LEAST_PROBABILITY, Score, calibrate, score_labels
from rl_eval.domains.prompt.tasks.task import Item, Task
from rl_eval.errors import InputError
from rl_eval.formatting import percent, quantity
from rl_eval.net.address import AddressError, parse_base_url
from rl_eval.net.client import Client, Limits, RequestError, Response

Measure = Literal["logprob", "accuracy", "grade"]
KEY_VARIABLE = "OPENAI_API_KEY"
MAX_TRIES = 5
MAX_WAIT_S = 30.0
_RETRIED = (408, 429, 500, 502, 503, 504)
_TOP_LOGPROBS = 20  # the most that such endpoints give
_CHECKED_CALLS = 3  # so many of the first requests are sent twice
_MEASURES: dict[str, tuple[str, float, float]] = {
    "logprob": ("calibrated log-likelihood", math.log(LEAST_PROBABILITY), 0.0),
    "accuracy": ("accuracy", 0.0, 1.0),
    "grade": ("grade", 0.0, 1.0),
}
_ANSWER_ONLY = "Continue the text with the answer alone, without any explanation."
_GRADE = (
    "Grade how well the prompt below makes a model answer the input with the right label. "
    "Reply with a whole number from 0 (it will not) to 10 (it surely will), and nothing else."
)


def endpoint_hash(base_url: str, model: str, measure: Measure) -> str:
    """16 hexadecimal digits that name a model behind an endpoint, measured in one way, in a table of scores."""
    return hashlib.sha256(f"{base_url.rstrip('/')}\n{model}\n{measure}".encode()).hexdigest()[:16]


class EndpointJudge:
    """Values of prompts by a model behind `<base URL>/chat/completions`, at temperature 0.

    An answer is asked for once: equal requests are answered from a cache. The first few requests are sent twice;
    `flicker` is the share of them that were answered in two ways.

    Attributes:
        hash: see `endpoint_hash`.
        repeated, different: how many requests were sent twice, and how many of them were answered in two ways.

    Args:
        base_url: such as `https://api.openai.com/v1`.
        model: its name there.
        measure: `logprob` needs log-probabilities, which many endpoints do not give.
        cache: answers of earlier runs; None: only those of this judge.
        key: None: the environment's `OPENAI_API_KEY`. An endpoint on this machine needs none.
        sleep: waits so many seconds.

    Raises:
        InputError: no URL, or no key.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        measure: Measure = "logprob",
        budget: Budget | None = None,
        *,
        key: str | None = None,
        cache: AnswerCache | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        try:
            url = parse_base_url(base_url)
        except AddressError as error:
            raise InputError(f"the judge's URL {error}: use one such as https://api.example.com/v1") from error
        key = os.environ.get(KEY_VARIABLE, "") if key is None else key
        if not key and not url.is_loopback:
            raise InputError(f"the judge at {url} needs a key: set {KEY_VARIABLE} in the environment")
        if not key.isascii() or not key.isprintable():
            raise InputError(f"{KEY_VARIABLE} contains characters that a key cannot have: set it again")
        self.name, self._score, self._url = model, measure, url
        self.hash = endpoint_hash(base_url, model, measure)
        self.measure, self.low, self.high = _MEASURES[measure]
        self.calls, self.money = 0, 0.0
        self._budget = budget or Budget()
        self._client = Client(url, Limits(total_s=60.0, max_bytes=1 << 20), trust_env=True)
        self._headers = [("Authorization", f"Bearer {key}")] if key else []
        self._sleep = sleep
        self._cache = AnswerCache() if cache is None else cache
        self.repeated = self.different = 0
        self._named: dict[tuple[str, str], bool] = {}

    @property
    def flicker(self) -> float:
        """Share of the repeated requests that were answered in another way; NaN if none was repeated."""
        return self.different / self.repeated if self.repeated else math.nan

    @property
    def nameless(self) -> int:
        """How many answers named no label, of different requests."""
        return sum(not is_named for is_named in self._named.values())

    def facts(self) -> list[str]:
        """What a report says of the requests: one line each."""
        facts = []
        if self.repeated:
            facts.append(f"{percent(self.flicker, 0)} of the repeated requests were answered differently")
        if self.nameless:
            counts, remedy = (
                ("as if all labels were equally likely", "use score=accuracy, or prompts that name the labels")
                if self._score == "logprob"
                else ("as wrong", "use prompts that name the labels, and a model that answers without thinking aloud")
            )
            answers = quantity(len(self._named), "answer")
            facts.append(f"{self.nameless:,} of {answers} named no label and count {counts}: {remedy}")
        if self.money:
            facts.append(f"the requests cost {self.money:.4g}")
        return facts

    def calls_of(self, items: int) -> int:
        """Items, and content-free inputs where log-probabilities are calibrated."""
        return items + (len(CONTENT_FREE_INPUTS) if self._score == "logprob" else 0)

    def values(self, prompt: str, task: Task, items: Sequence[Item]) -> np.ndarray:
        """The value of a prompt on each item `[I]`.

        Raises:
            InputError: the endpoint cannot be reached, answers with an error or without what is needed, or the budget
                is used up.
        """
        if self._score == "accuracy":
            return np.array([float(self._label(prompt, task, item.text) == item.label) for item in items])
        if self._score == "grade":
            return np.array([self._grade(prompt, item) for item in items])
        content_free, probabilities = self._probabilities(prompt, task, items)
        return right_log_likelihoods(calibrate(probabilities, content_free), task, items)

    def score(self, prompt: str, task: Task) -> Score:
        """The score of a prompt on the test items of a task; of answers and grades, all figures are their mean.

        Raises:
            InputError: as `values`.
        """
        if self._score == "logprob":
            content_free, probabilities = self._probabilities(prompt, task, task.test)
            return score_labels(probabilities, content_free, task.right())
        mean = float(self.values(prompt, task, task.test).mean())
        return Score(mean, mean, mean, mean)

    def _probabilities(self, prompt: str, task: Task, items: Sequence[Item]) -> tuple[np.ndarray, np.ndarray]:
        """Of each label, for an input that says nothing `[L]`, and for each item `[I, L]`."""
        with self._proposing_accuracy():
            refuse_equal_beginnings(task.labels)
        texts = (*CONTENT_FREE_INPUTS, *(item.text for item in items))
        rows = np.array([self._label_probabilities(prompt, task, text) for text in texts])
        content_free, probabilities = np.split(rows, [len(CONTENT_FREE_INPUTS)])
        return content_free.mean(axis=0), probabilities

    def _label(self, prompt: str, task: Task, text: str) -> str | None:
        answer = _content(self._ask(_ANSWER_ONLY, item_prompt(prompt, text), max_tokens=16), self._url)
        label = named_label(answer, task.labels)
        self._named[prompt, text] = label is not None
        return label

    def _grade(self, prompt: str, item: Item) -> float:
        question = f"Prompt:\n{prompt}\n\nInput: {item.text}\nRight label: {item.label}\nGrade:"
        answer = _content(self._ask(_GRADE, question, max_tokens=4), self._url)
        with self._proposing_accuracy():
            return read_grade(answer)

    def _label_probabilities(self, prompt: str, task: Task, text: str) -> np.ndarray:
        """The probability of each label `[L]`, by the tokens that begin it."""
        answer = self._ask(
            _ANSWER_ONLY, item_prompt(prompt, text), max_tokens=1, logprobs=True, top_logprobs=_TOP_LOGPROBS
        )
        with self._proposing_accuracy():
            try:
                top = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
                tokens = [(str(entry["token"]), float(entry["logprob"])) for entry in top]
            except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
                raise UnreadableError("gives no log-probabilities") from error
            probabilities, self._named[prompt, text] = read_probabilities(tokens, task.labels)
        return probabilities

    @contextlib.contextmanager
    def _proposing_accuracy(self) -> Iterator[None]:
        """Inside, an answer that cannot be read is an `InputError` that says what to do."""
        try:
            yield
        except UnreadableError as error:
            raise InputError(f"the judge {self.name} at {self._url} {error}: use score=accuracy") from error

    def _ask(self, system: str, text: str, **options: Any) -> dict[str, Any]:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
        body = json.dumps({"model": self.name, "messages": messages, "temperature": 0, "seed": 0, **options}).encode()
        digest = hashlib.sha256(f"{self._url}\n".encode() + body).hexdigest()
        answer = self._cache.get(digest)
        if answer is None:
            answer = self._send(body)
            if self.repeated < _CHECKED_CALLS:
                self.repeated += 1
                again = _content(self._send(body), self._url)
                self.different += again != _content(answer, self._url)
            self._cache.put(digest, answer)
        return answer

    def _send(self, body: bytes) -> dict[str, Any]:
        """The answer to a request, tried again where that may help."""
        problem = ""
        for attempt in range(MAX_TRIES):
            self._check_budget()
            self.calls += 1
            try:
                response = self._client.request("POST", "/chat/completions", self._headers, body)
            except RequestError as error:
                if error.kind not in ("unreachable", "timeout", "too_slow"):
                    raise InputError(f"the judge cannot be asked ({error}): check its URL") from error
                problem, wait_s = str(error), 2.0**attempt
            else:
                if response.status == 200:
                    return self._read(response)
                problem = f"{self._url}/chat/completions answered with status {response.status}"
                if response.status not in _RETRIED:
                    hint = "check the key" if response.status in (401, 403) else "check the URL and the model"
                    raise InputError(f"the judge {self.name} does not answer ({problem}): {hint}")
                wait_s = _retry_after(response) or 2.0**attempt
            if attempt + 1 < MAX_TRIES:
                self._sleep(min(wait_s, MAX_WAIT_S))
        raise InputError(f"the judge {self.name} did not answer in {MAX_TRIES} tries ({problem}): try again later")

    def _check_budget(self) -> None:
        budget = self._budget
        if self.calls >= budget.calls:
            raise InputError(f"the judge's budget of {quantity(budget.calls, 'call')} is used up: allow more calls")
        if budget.money is not None and self.money >= budget.money:
            raise InputError(f"the judge's budget of {budget.money:g} is spent: allow more money")

    def _read(self, response: Response) -> dict[str, Any]:
        try:
            answer = json.loads(response.content)
            _content(answer, self._url)
            cost = self._budget.cost(answer.get("usage"))
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise InputError(
                f"{self._url} does not answer like an OpenAI-compatible endpoint: check the URL"
            ) from error
        self.money += cost
        return answer


def _content(answer: Any, url: object) -> str:
    try:
        content = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{url} does not answer like an OpenAI-compatible endpoint: check the URL") from error
    return content if isinstance(content, str) else ""


def _retry_after(response: Response) -> float | None:
    try:
        wait_s = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return wait_s if 0 <= wait_s < math.inf else None
