"""Start prompts of a task: terse, padded, with examples or constraints already, and badly ordered."""

from __future__ import annotations

from dataclasses import dataclass

from rl_eval.domains.prompt.tasks.embedded import embedded_starts
from rl_eval.domains.prompt.tasks.task import Task, is_structural

# These strings are features: they stay.
KINDS: tuple[str, ...] = ("terse", "padded", "examples", "constraints", "disordered")


@dataclass(frozen=True)
class Start:
    """A prompt that an episode begins with; `kind` is one of `KINDS`."""

    text: str
    kind: str


def starts(task: Task) -> tuple[Start, ...]:
    """At least four start prompts of a task, in the order of `KINDS`.

    Those of an embedded task were written for it. Those of any other task are made from its instruction, labels and
    the last of its `train` items.
    """
    written = embedded_starts(task)
    return tuple(Start(text, kind) for text, kind in written) if written is not None else _made(task)


def _made(task: Task) -> tuple[Start, ...]:
    labels = f"{', '.join(task.labels[:-1])} or {task.labels[-1]}"
    shown = [item for item in reversed(task.train) if not is_structural(item.text)][:2]
    examples = "\n\n".join(f"Input: {' '.join(item.text.split())[:240]}\nAnswer: {item.label}" for item in shown)
    padding = (
        "Our office is in a quiet street and has a garden with old trees. We have worked with texts since 1998, and "
        "there is a cake on Fridays."
    )
    made = {
        "terse": f"Choose: {labels}.",
        "padded": f"You are a helpful assistant. {padding} {task.instruction} Thank you very much!",
        "examples": f"{task.instruction}\n\n{examples}",
        "constraints": f"{task.instruction} Answer with one word. Never invent another label. Do not ask back.",
        "disordered": f"{examples}\n\nAnswer in one word.\n{padding}\nIf you are unsure, guess.\nPick the right label.",
    }
    return tuple(Start(made[kind], kind) for kind in KINDS)
