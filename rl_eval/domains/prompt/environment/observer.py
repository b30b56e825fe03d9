"""Prompts of anybody as observations, for the policy server."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.domains.prompt.config import Config
from rl_eval.domains.prompt.encoding import WIDTH, Encoder
from rl_eval.domains.prompt.environment.dataset import load_tasks
from rl_eval.domains.prompt.environment.observations import FEATURES, with_plain_features
from rl_eval.domains.prompt.environment.vector import shown_masks
from rl_eval.domains.prompt.tasks.task import Task
from rl_eval.domains.prompt.text.mutations import MUTATIONS, legal, max_bytes
from rl_eval.domains.text import TextObserver
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief


class PromptObserver(TextObserver):
    """Reads a prompt with the encoder of a run.

    Without a task the features of one are those of none, and the category is `other`.
    """

    width = WIDTH

    def __init__(self, config: Config, encoder: Encoder):
        self._config, self._encoder = config, encoder
        named = encoder.identity
        self.identity = f"{named.name} {named.version} {named.digest}"

    def observe(
        self, text: str, *, task: str | None = None, applied: Sequence[int] = (), embedding: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The observation of a prompt `[D]`, and its action mask `[A]` where the config has masks.

        Raises:
            InputError: a prompt that is empty, not Unicode text, or too long; an unknown task; or no mutation.
        """
        flags, known = applied_mutations(applied), known_task(self._config, task)
        require_prompt(text, int(flags.sum()))
        rows = self._encoder.encode([text]) if embedding is None else embedding[None]
        if self._config.features:
            rows = with_plain_features(rows, [text], known, flags[None])
        if not self._config.masks:
            return rows[0], None
        return rows[0], legal_actions(text, known, flags, self._config)

    def observe_embeddings(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings are all that is observed where the config has no plain features.

        Raises:
            InputError: it has.
        """
        if self._config.features:
            raise InputError(
                f"this policy observes more than an embedding: the run has env.features=true, which adds "
                f"{len(FEATURES)} columns: give prompt and embedding, or only a prompt, or all "
                f"{WIDTH + len(FEATURES)} numbers as observation"
            )
        return embeddings


def legal_actions(text: str, task: Task | None, applied: np.ndarray, config: Config) -> np.ndarray:
    """Which actions are legal, bool `[A]`, as in the environment.

    Args:
        applied: bool `[5]`, the mutations that made the prompt.
    """
    return shown_masks(np.array([legal(text, task)], bool) & ~applied, config)[0]


def known_task(config: Config, name: str | None) -> Task | None:
    """A task of a config by its name; None for None.

    Raises:
        InputError: there is none of that name.
    """
    if name is None:
        return None
    tasks = load_tasks(config)
    if name not in tasks:
        raise InputError(
            f"task={brief(repr(name), 80)} is not a task of this policy: {nearest(name, tasks)}the tasks are "
            f"{', '.join(tasks)}"
        )
    return tasks[name]


def applied_mutations(actions: Sequence[int]) -> np.ndarray:
    """Mutations by the numbers of their actions, as flags, bool `[5]`.

    Raises:
        InputError: a number is not that of a mutation.
    """
    flags = np.zeros(len(MUTATIONS), bool)
    for action in actions:
        if not 0 <= action < len(MUTATIONS):
            raise InputError(f"applied={action} is not a mutation: give numbers from 0 to {len(MUTATIONS) - 1}")
        flags[action] = True
    return flags


def require_prompt(text: str, applied: int) -> None:
    """Accept a prompt of somebody else.

    Args:
        applied: how many mutations made it of a start prompt; each may have added to its length.

    Raises:
        InputError: it is empty, not Unicode text, or too long.
    """
    if not text.strip():
        raise InputError("the prompt is empty: send some text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise InputError("the prompt contains surrogates, which are not characters: send Unicode text") from error
    if size > max_bytes(applied):
        advice = "" if applied == len(MUTATIONS) else ", or name in applied all mutations that made it"
        raise InputError(f"the prompt has {size:,} bytes: send at most {max_bytes(applied):,}{advice}")
