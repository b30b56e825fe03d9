"""`Batch`: requests that arrive together are decided in one pass of the network and stored in one transaction.

The event loop hands over all requests that are ready before it runs what `call_soon` scheduled. So a batch is all that
was ready at the same time: a single request waits for nobody, and the busier the server, the larger its batches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Batch(Generic[Request, Answer]):
    """Collects requests, and answers all at once.

    Args:
        answer: one answer for each request, or the exception that it should raise.
    """

    def __init__(self, answer: Callable[[Sequence[Request]], Sequence[Answer | Exception]]):
        self._answer = answer
        self._waiting: list[tuple[Request, asyncio.Future[Answer]]] = []

    async def submit(self, request: Request) -> Answer:
        """The answer to one request."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._run)
        self._waiting.append((request, future))
        return await future

    def _run(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            answers = self._answer([request for request, _ in waiting])
        except Exception as error:  # of all of them
            answers = [error] * len(waiting)
        for (_, future), answer in zip(waiting, answers, strict=True):
            if future.cancelled():  # the client has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
