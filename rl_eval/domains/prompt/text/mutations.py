"""The five mutations of a prompt: deterministic, each on one kind of part, and the same in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from rl_eval.domains.prompt.tasks.task import Item, Task, is_structural
from rl_eval.domains.prompt.text.parts import PromptParts, is_regular, parse, render
from rl_eval.domains.prompt.text.segments import example_answer, is_protected

# The order is that of the actions, and these strings are features and seeds: they stay.
MUTATIONS: tuple[str, ...] = ("fallback", "reduction", "expansion", "constraint", "decomposition")
MAX_PROMPT_BYTES = 16 << 10
MAX_ADDED = 8_000  # characters that one mutation adds at most
_LARGEST_CHARACTER = 4  # bytes of UTF-8
MAX_EXAMPLE_TEXT = 240  # characters of an input shown as an example
_MIN_EXAMPLES = 4

_FALLBACK = (
    "If the input is malformed or its meaning is unclear, still give the answer that fits best.",
    "If you are unsure between two answers, choose the more likely one.",
)
_CONSTRAINT = "Do not add information that was not asked for."
_STEPS = (
    "1. Read the whole input.",
    "2. Find the words that decide the answer.",
    "3. Compare them with what the task asks for.",
    "4. Give the answer that fits best.",
)
_DETAILS = ("Pay attention to the wording and the tone of the whole input.",)


def max_bytes(mutations: int) -> int:
    """UTF-8 bytes at most of a prompt that so many different mutations made of a start prompt."""
    return MAX_PROMPT_BYTES + mutations * MAX_ADDED * _LARGEST_CHARACTER


def mutate(text: str, mutation: str, task: Task | None) -> str:
    """A prompt after one mutation; the prompt itself where the mutation changes nothing.

    Args:
        text: any text, with up to `MAX_PROMPT_BYTES` of UTF-8 before the first mutation.
        mutation: one of `MUTATIONS`.
        task: what the prompt is for; only its labels, its instruction and its `train` items are used. Without it the
            mutations say the same in general words.
    """
    parts = parse(text)
    changed = _MUTATE[mutation](parts, task) if text.strip() and is_regular(text) else parts
    return text if changed == parts else render(changed)


def legal(text: str, task: Task | None) -> tuple[bool, ...]:
    """For each of `MUTATIONS` whether it changes the prompt.

    None does where the prompt is blank, or its parts cannot be distinguished for sure.
    """
    if not text.strip() or not is_regular(text):
        return (False,) * len(MUTATIONS)
    parts = parse(text)
    return tuple(_MUTATE[mutation](parts, task) != parts for mutation in MUTATIONS)


def reachable(start: str, task: Task | None) -> tuple[str, ...]:
    """The 32 prompts that mutations make of a start prompt; bit i of the index: `MUTATIONS[i]` has been applied.

    Where a mutation changes nothing, both of its prompts are the same text.
    """
    if not start.strip() or not is_regular(start):
        return (start,) * (1 << len(MUTATIONS))
    start_parts = parse(start)
    prompts = []
    for mask in range(1 << len(MUTATIONS)):
        parts = start_parts
        for i, mutation in enumerate(MUTATIONS):
            if mask >> i & 1:
                parts = _MUTATE[mutation](parts, task)
        prompts.append(start if parts == start_parts else render(parts))
    return tuple(prompts)


def _add_fallback(parts: PromptParts, task: Task | None) -> PromptParts:
    return parts if parts.fallback else replace(parts, fallback=_FALLBACK)


def _reduce_context(parts: PromptParts, task: Task | None) -> PromptParts:
    if not parts.task:  # then the context may be all that says what to do
        return parts
    return replace(parts, context=tuple(segment for segment in parts.context if is_protected(segment)))


def _expand(parts: PromptParts, task: Task | None) -> PromptParts:
    if task is None:
        return parts if parts.details else replace(parts, details=_DETAILS)
    present = Counter(example_answer(example) for example in parts.examples)
    texts = "\n".join(parts.examples)
    wanted = -(-_MIN_EXAMPLES // len(task.labels))
    added = []
    for label, example in _examples(task):
        if present[label] < wanted and example not in texts:
            present[label] += 1
            added.append(example)
    return replace(parts, examples=parts.examples + tuple(added))


def _add_constraint(parts: PromptParts, task: Task | None) -> PromptParts:
    constraint = _CONSTRAINT if task is None else f"Answer with exactly one of: {', '.join(task.labels)}."
    return parts if constraint in parts.constraints else replace(parts, constraints=(*parts.constraints, constraint))


def _decompose(parts: PromptParts, task: Task | None) -> PromptParts:
    return parts if parts.steps else replace(parts, steps=_STEPS)


_MUTATE: dict[str, Callable[[PromptParts, Task | None], PromptParts]] = {
    "fallback": _add_fallback, "reduction": _reduce_context, "expansion": _expand, "constraint": _add_constraint,
    "decomposition": _decompose,
}  # fmt: skip


@lru_cache(maxsize=64)
def _examples(task: Task) -> tuple[tuple[str, str], ...]:
    """Label and text of each example of a task, the labels in turn, as far as they are read as examples."""
    queues = [[item for item in task.train if item.label == label] for label in task.labels]
    in_turn = [queue[i] for i in range(max(map(len, queues))) for queue in queues if i < len(queue)]
    examples = [(item.label, _example(item)) for item in in_turn]
    return tuple(
        (label, text) for label, text in examples if not is_structural(text.replace("\n", " ")) and _stays(text)
    )


def _example(item: Item) -> str:
    text = " ".join(item.text.split())
    text = text if len(text) <= MAX_EXAMPLE_TEXT else f"{text[: MAX_EXAMPLE_TEXT - 1]}…"
    return f"Input: {text}\nAnswer: {item.label}"


def _stays(example: str) -> bool:
    parts = PromptParts(examples=(example,))
    return parse(render(parts)) == parts
