"""Prompts of no known task as observations, for the policy server."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.encoding import Encoder
from rl_eval.domains.prompt.environment.observations import observe
from rl_eval.domains.prompt.environment.vector import shown_masks
from rl_eval.domains.prompt.text.mutations import MAX_PROMPT_BYTES, MUTATIONS, legal
from rl_eval.domains.text import TextObserver
from rl_eval.errors import InputError


class PromptObserver(TextObserver):
    """Reads a prompt with the encoder of a run; features of a task are those of none, and its category is `other`."""

    def __init__(self, config: Config, encoder: Encoder):
        self._config, self._encoder = config, encoder
        named = encoder.identity
        self.identity = f"{named.name} {named.version} {named.digest}"

    def observe(self, text: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The observation of a prompt `[D]`, and its action mask `[A]` where the config has masks.

        Raises:
            InputError: a prompt that is empty, no Unicode text, or too long.
        """
        require_prompt(text)
        none_applied = np.zeros((1, len(MUTATIONS)), bool)
        (row,) = observe([text], None, none_applied, self._encoder, plain=self._config.features)
        if not self._config.masks:
            return row, None
        return row, shown_masks(np.array([legal(text, None)], bool), self._config)[0]


def require_prompt(text: str) -> None:
    """Accept a prompt of somebody else.

    Raises:
        InputError: it is empty, no Unicode text, or too long.
    """
    if not text.strip():
        raise InputError("the prompt is empty: send some text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InputError("the prompt holds surrogates, which are no characters: send Unicode text") from error
    if size > MAX_PROMPT_BYTES:
        raise InputError(f"the prompt has {size:,} bytes: send at most {MAX_PROMPT_BYTES:,}")
