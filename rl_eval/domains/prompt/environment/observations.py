"""Observations of prompts: the embedding, then the plain features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_eval.domains.prompt.encoding import Encoder
from rl_eval.domains.prompt.environment.plain_features import PROMPT_FEATURES, category_columns, prompt_features
from rl_eval.domains.prompt.tasks.task import CATEGORIES, Task
from rl_eval.domains.prompt.text.mutations import MUTATIONS

# The columns after the embedding, in order.
FEATURES = (
    *PROMPT_FEATURES,
    *(f"applied_{mutation}" for mutation in MUTATIONS),
    *(f"category_{category}" for category in CATEGORIES),
)


def observe(
    texts: Sequence[str], task: Task | None, applied: np.ndarray, encoder: Encoder, *, plain: bool
) -> np.ndarray:
    """Observations of prompts for one task, float32 `[N, D]`.

    Args:
        applied: bool `[N, 5]`, the mutations that made each prompt of its start.
        plain: whether there are plain features.
    """
    distinct = list(dict.fromkeys(texts))
    row = {text: index for index, text in enumerate(distinct)}
    embedding = encoder.encode(distinct)[[row[text] for text in texts]]
    return with_plain_features(embedding, texts, task, applied) if plain else embedding


def with_plain_features(
    embedding: np.ndarray, texts: Sequence[str], task: Task | None, applied: np.ndarray
) -> np.ndarray:
    """Embeddings `[N, W]` and the plain features of their prompts, float32 `[N, D]`; see `observe`."""
    features = np.array([prompt_features(text, task) for text in texts])
    category = np.broadcast_to(category_columns(task), (len(texts), len(CATEGORIES)))
    return np.concatenate([embedding, features, applied.astype(np.float32), category], axis=1)
