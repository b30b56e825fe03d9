"""A rubric: what guides to prompting ask of a prompt, as a number; it asks no language model."""

from __future__ import annotations

import numpy as np

from rl_eval.domains.prompt.environment.plain_features import PROMPT_FEATURES

# Points of a prompt that has a part, and of one that names all labels.
POINTS = {
    "has_task": 0.25, "has_constraints": 0.1, "has_examples": 0.2, "has_output_format": 0.15, "has_fallback": 0.1,
    "has_steps": 0.05, "names_labels": 0.15, "has_context": -0.1,
}  # fmt: skip
_WEIGHTS = np.array([POINTS.get(name, 0.0) for name in PROMPT_FEATURES], np.float32)


def rubric(features: np.ndarray) -> np.ndarray:
    """Points of prompts with `PROMPT_FEATURES` `[…, F]`, at most 1, float32 `[…]`."""
    return features @ _WEIGHTS
