"""`EpisodeBuffer`: the episodes of one policy in the order of their seeds, played only when a criterion needs them."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from rl_eval.errors import InputError
from rl_eval.rollout import Episodes, join


class EpisodeBuffer:
    """Episodes that are played when they are first needed, and kept.

    Attributes:
        count: episodes played so far.
    """

    def __init__(self, blocks: Iterator[Episodes]) -> None:
        self._blocks = blocks
        self._played: list[Episodes] = []
        self._failure: InputError | None = None
        self.count = 0

    def play_more(self) -> bool:
        """Play until the next episodes are complete; False if there are no more.

        Raises:
            InputError: the policy or the environment fails, now or before.
        """
        if self._failure is not None:
            raise self._failure
        try:
            block = next(self._blocks, None)
        except InputError as error:
            self._failure = error
            raise
        if block is None:
            return False
        self._played.append(block)
        self.count += len(block)
        return True

    def play_to(self, count: int) -> int:
        """Play until so many episodes are complete; how many of them there are.

        Raises:
            InputError: as `play_more`.
        """
        while self.count < count and self.play_more():
            pass
        return min(self.count, count)

    def between(self, start: int, stop: int) -> Episodes:
        """The episodes from `start` up to but not including `stop`, or up to the last one there is."""
        self.play_to(stop)
        last_start = self.count - len(self._played[-1])
        if start >= last_start:  # the usual request: only the newest block
            return self._played[-1].between(start - last_start, stop - last_start)
        if len(self._played) > 1:
            self._played = [join(self._played)]
        return self._played[0].between(start, stop)

    def close(self) -> None:
        """Stop playing; the played episodes stay."""
        if isinstance(self._blocks, Generator):
            self._blocks.close()
