"""What a language model continues: a prompt with an input whose answer is missing."""

from __future__ import annotations

from rl_eval.domains.prompt.tasks.task import as_shown

CONTENT_FREE_INPUTS = ("N/A", "", "[MASK]")  # as Zhao et al. 2021 (arXiv 2102.09690) use them


def item_prompt(prompt: str, text: str) -> str:
    """A prompt, and an input in the form of the worked examples."""
    shown = f"Input: {as_shown(text)}".rstrip()
    return f"{prompt}\n\n{shown}\nAnswer:"
