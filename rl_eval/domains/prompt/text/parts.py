"""The parts of a prompt: role, task, context, constraints and so on; parsing and rendering them.

`render(parse(text))` is the canonical form of a text. Texts whose canonical form would be read in another way than the
text itself (unmatched braces in many places, say) are irregular: `is_regular` tells, and no mutation touches them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from rl_eval.domains.prompt.text.segments import (
    example_answer,
    is_numbered,
    is_protected,
    join_segments,
    split_lines,
    split_segments,
    without_marker,
)


@dataclass(frozen=True)
class PromptParts:
    """The parts of a prompt, each a tuple of segments, in rendering order.

    A segment is a sentence, an item of a list, a code fence or another block that stays in one piece, or a worked
    example. Text of no other kind belongs to the task where nothing else says what to do, and to the context otherwise.

    Attributes:
        role: who the model should be.
        context: background that the task may not need.
        task: what to do, with every placeholder and block of text of no other kind.
        details: what to watch in the input.
        steps: how to proceed.
        constraints: what must or must not be done.
        output_format: what the answer looks like.
        fallback: what to do with malformed input and uncertain answers.
        examples: worked examples.
    """

    role: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    output_format: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


PARTS = tuple(field.name for field in fields(PromptParts))
_HEADINGS = {
    "role": "role", "persona": "role",
    "context": "context", "background": "context", "about": "context", "note": "context", "notes": "context",
    "task": "task", "instruction": "task", "instructions": "task", "goal": "task", "objective": "task",
    "details": "details", "hints": "details",
    "steps": "steps", "procedure": "steps", "method": "steps",
    "constraints": "constraints", "constraint": "constraints", "rules": "constraints", "requirements": "constraints",
    "guidelines": "constraints",
    "output format": "output_format", "format": "output_format", "answer format": "output_format",
    "response format": "output_format",
    "fallback": "fallback", "edge cases": "fallback", "error handling": "fallback", "if unsure": "fallback",
    "examples": "examples", "worked examples": "examples",
}  # fmt: skip
_TITLES = {part: f"{part.replace('_', ' ').capitalize()}:" for part in PARTS}
_HEADING = re.compile(
    r"(?P<marks>#{1,6}\s+)\**(?P<title>[A-Za-z][A-Za-z ]{1,20})\**:?\**|"
    r"\**(?P<name>[A-Za-z][A-Za-z ]{1,20})\**:\**(?:\s+(?P<rest>.+))?",
    re.DOTALL,
)

# What a sentence is, by its words; the first that matches decides.
_KINDS = tuple(
    (part, re.compile(pattern, re.IGNORECASE))
    for part, pattern in (
        ("fallback", r"(if|when|where|in case|should)\b.*\b(unsure|not sure|unclear|uncertain|ambiguous|malformed|"
                     r"cannot|can't|do not know|don't know|empty|invalid|missing|doubt|no label fits|hard to tell)\b"),
        ("constraints", r"(do not|don't|never|always|avoid|only|use only|be (brief|concise|short)|no )\b|"
                        r".*\b(must|at most|no more than|exactly one|not allowed|nothing else)\b"),
        ("role", r"(you are|you're|act as|imagine you are|i want you to act as|pretend|as an? (expert|experienced))\b"),
        ("steps", r"(first|second|third|next|then|finally),? |step \d|.*\bstep by step\b"),
        ("output_format", r"(please )?(answer|respond|reply|output|return|format)\b.*\b(with|as|in|only|one|json|label|"
                          r"word|words|list|table)\b"),
        ("details", r"(pay attention|consider|take into account|keep in mind|watch)\b"),
        ("context", r"(note that|fyi|for context|by the way|this is part of|we |our |the (company|team|project|office|"
                    r"shop)\b|i am|i'm|thank|hello|hi\b|dear\b|please note|i hope|best regards|kind regards)"),
        ("task", r"(please |kindly |now )?(classify|decide|determine|identify|label|name|tell|say|state|detect|sort|"
                 r"categori[sz]e|choose|pick|select|assign|judge|rate|find|write|translate|summari[sz]e|explain|generate|"
                 r"create|what|which|is|does|do|who|how|why|predict|read|given|your (task|job|goal)|the task|compare|"
                 r"convert|rewrite|list|extract|describe|suggest|propose|make|provide|compute|calculate|answer|give|"
                 r"mark|guess|recogni[sz]e|analy[sz]e|evaluate|i want you to|i need you to|could you|can you)\b|.*\?$"),
    )
)  # fmt: skip


def parse(text: str) -> PromptParts:
    """The parts of a prompt; empty parts for a blank text."""
    segments = _segments(text)
    has_task = any(kind == "task" for _, kind in segments)
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for segment, kind in segments:
        parts[kind or _plain_kind(segment, has_task)].append(segment)
    parts["examples"].sort(key=lambda example: example_answer(example) is not None)
    return PromptParts(**{part: tuple(found) for part, found in parts.items()})


def render(parts: PromptParts) -> str:
    """The text of the parts: instructions first, worked examples last."""
    has_task = any(_kind(segment) == "task" for segment in parts.task)
    titled = {"task"} if not _reads_as(parts.task, "task", has_task) else set()
    has_task = has_task or "task" in titled
    titled |= {part for part in PARTS if not _reads_as(getattr(parts, part), part, has_task)} | {"steps"}
    text = ""
    was_titled = False
    for part in PARTS[:-1]:
        segments: tuple[str, ...] = getattr(parts, part)
        if not segments:
            continue
        paragraph = join_segments(segments)
        if part in titled:
            paragraph = f"{_TITLES[part]}\n{paragraph}"
        separator = "\n\n" if was_titled or part in titled else "\n"
        text = f"{text}{separator}{paragraph}" if text else paragraph
        was_titled = part in titled
    free = tuple(example for example in parts.examples if example_answer(example) is None)
    blocks = [text] if text else []
    if free:
        blocks.append(f"{_TITLES['examples']}\n{join_segments(free)}")
    return "\n\n".join(blocks + [example for example in parts.examples if example not in free])


def is_regular(text: str) -> bool:
    """Whether the canonical form of a text has the same parts as the text."""
    parts = parse(text)
    return parse(render(parts)) == parts


def _segments(text: str) -> list[tuple[str, str | None]]:
    """Segments in order, each with its part; None if neither a heading nor its words tell."""
    found: list[tuple[str, str | None]] = []
    heading: str | None = None
    stays = False  # below a Markdown heading blank lines do not end the part
    for line in split_lines(text):
        if line.is_example:
            found.append((line.text, "examples"))
            continue
        if not line.text.strip():
            heading = heading if stays else None
            continue
        is_inline = False
        for segment in split_segments(line.text):
            name, is_markdown, rest = _heading(segment)
            if name is not None:
                heading, stays, is_inline, segment = name, is_markdown, bool(rest), rest
            if segment:
                found.append((segment, heading or _kind(segment)))
        if is_inline:
            heading, stays = None, False
    return found


def _heading(segment: str) -> tuple[str | None, bool, str]:
    """The part that a segment is a heading of, whether it is one of Markdown, and the text after it."""
    match = _HEADING.fullmatch(segment)
    part = _HEADINGS.get((match["title"] or match["name"]).lower()) if match else None
    if match is None or part is None:
        return None, False, segment
    return part, match["marks"] is not None, match["rest"] or ""


def _kind(segment: str) -> str | None:
    """The part that the words of a segment belong to; None for text of no kind."""
    words = without_marker(segment)
    for part, pattern in _KINDS:
        if pattern.match(words):
            return part
    return "steps" if is_numbered(segment) else None


def _reads_as(segments: tuple[str, ...], part: str, has_task: bool) -> bool:
    """Whether the words of segments show that they are of a part, without a heading."""
    return all((_kind(segment) or _plain_kind(segment, has_task)) == part for segment in segments)


def _plain_kind(segment: str, has_task: bool) -> str:
    is_open = segment.endswith(":")  # announces something that follows
    return "context" if has_task and not is_open and not is_protected(segment) else "task"
