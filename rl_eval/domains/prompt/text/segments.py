"""Segments of a prompt: its sentences, list items, examples and protected blocks, cut where nothing is lost.

A protected span is never cut: a code fence, a placeholder (`{x}`, `{{x}}`, `<x>`), and anything between
balanced braces or brackets, such as a JSON schema.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_PLACEHOLDER = re.compile(r"\{[^{}\n]{1,200}\}|<[^<>\s][^<>\n]{0,200}>")
_BRACKETS = {"{": "}", "[": "]"}
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]]?\s+(?=[A-Z0-9\"'“‘(À-ÖØ-Þ])|(?<=[。！？])(?=\S)")
_NO_SENTENCE_END = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|mr|mrs|ms|dr|st|[a-z])\.$|(?:^|:\s)\d{1,2}\.$", re.IGNORECASE
)
_LONGEST_ABBREVIATION = 12
_MARKER = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+\S")
_EXAMPLE_INPUT = re.compile(
    r"\s*(?:example|input|text|review|sentence|message|question|q)(?: input| text)?(?: \d{1,3})?:[^\S\n]*\S[^\n]*",
    re.IGNORECASE,
)
_EXAMPLE_ANSWER = re.compile(r"\s*(?:answer|output|label|category|class|a):[^\S\n]*(\S[^\n]*)", re.IGNORECASE)
_ARROW_EXAMPLE = re.compile(r"\s*[\"“'‘].{1,300}[\"”'’]\s*(?:->|=>|→)\s*(\S.{0,80})")


@dataclass(frozen=True)
class Line:
    """A logical line: it holds line breaks where a protected span does.

    Attributes:
        is_example: it is a worked example, an input with its answer.
    """

    text: str
    is_example: bool = False


def split_lines(text: str) -> list[Line]:
    """The logical lines of a text in order, blank ones included."""
    lines: list[Line] = []
    raw = text.split("\n")
    closing = _closing_fences(raw)
    start = i = 0
    while i < len(raw):
        end = _fence_end(raw, i, closing)
        if end is None:
            i += 1
            continue
        lines += _with_examples(_join_spans(raw[start:i]))
        lines.append(Line("\n".join(raw[i:end])))
        start = i = end
    return lines + _with_examples(_join_spans(raw[start:]))


def _with_examples(lines: list[str]) -> list[Line]:
    marked: list[Line] = []
    i = 0
    while i < len(lines):
        pair = lines[i : i + 2]
        if len(pair) == 2 and _EXAMPLE_INPUT.fullmatch(pair[0]) and _EXAMPLE_ANSWER.fullmatch(pair[1]):
            marked.append(Line(f"{pair[0].strip()}\n{pair[1].strip()}", is_example=True))
            i += 2
        else:
            is_example = _ARROW_EXAMPLE.fullmatch(lines[i]) is not None
            marked.append(Line(lines[i].strip() if is_example else lines[i], is_example))
            i += 1
    return marked


def example_answer(example: str) -> str | None:
    """The answer of a worked example; None if the text is not one."""
    last = example.rsplit("\n", 1)[-1]
    match = _EXAMPLE_ANSWER.match(last) if "\n" in example else _ARROW_EXAMPLE.fullmatch(last)
    return match[1].strip() if match else None


def split_segments(line: str) -> list[str]:
    """The sentences of a logical line; an item of a list is one segment."""
    stripped = line.strip()
    if not stripped:
        return []
    if is_list_item(stripped):
        return [stripped]
    is_inside = _inside_spans(stripped)
    segments, start = [], 0
    for match in _SENTENCE_END.finditer(stripped):
        # A quotation mark or bracket that closes the sentence belongs to it.
        cut = match.start() + len(match[0]) - len(match[0].lstrip("\"')]"))
        last_word = stripped[max(start, cut - _LONGEST_ABBREVIATION) : cut]
        if any(is_inside[cut : match.end() + 1]) or _NO_SENTENCE_END.search(last_word):
            continue
        segments.append(stripped[start:cut].strip())
        start = match.end()
    segments.append(stripped[start:].strip())
    return [segment for segment in segments if segment]


def join_segments(segments: tuple[str, ...]) -> str:
    """One text that `split_lines` and `split_segments` cut into the same segments, where any text does."""
    text = ""
    before = ""
    for segment in segments:
        if text:
            pair = [before, segment]
            text += " " if "\n" not in segment and split_segments(" ".join(pair)) == pair else "\n"
        text += segment
        before = segment
    return text


def is_list_item(line: str) -> bool:
    """Whether a line begins with a bullet or a number."""
    return _MARKER.match(line) is not None


def without_marker(line: str) -> str:
    """A list item without its bullet or number."""
    match = _MARKER.match(line)
    return line[match.end() - 1 :] if match else line


def is_numbered(line: str) -> bool:
    """Whether a line is a numbered item of a list."""
    return is_list_item(line) and line.lstrip()[0].isdigit()


def is_protected(segment: str) -> bool:
    """Whether a segment holds a code fence, a placeholder or a block in brackets: no mutation removes it."""
    return bool(protected_spans(segment)) or _FENCE.match(segment) is not None


def protected_spans(text: str) -> list[tuple[int, int]]:
    """Begin and end of each part of a text without fences that must not be cut."""
    spans = [match.span() for match in _PLACEHOLDER.finditer(text)]
    for opening, closing in _BRACKETS.items():
        stack: list[int] = []
        for match in re.finditer(f"[{re.escape(opening + closing)}]", text):
            if match[0] == opening:
                stack.append(match.start())
            elif stack:
                spans.append((stack.pop(), match.end()))
    return spans


def _closing_fences(raw: list[str]) -> dict[str, list[int]]:
    """For each mark and line, the length of the longest fence after it that can close one.

    So a fence that never ends is known without reading all lines after it.
    """
    longest = {mark: [0] * len(raw) for mark in "`~"}
    for mark, lengths in longest.items():
        for i in range(len(raw) - 2, -1, -1):
            lengths[i] = max(lengths[i + 1], _closing_length(raw[i + 1], mark))
    return longest


def _closing_length(line: str, mark: str) -> int:
    """How many marks a line has that holds nothing else; else 0."""
    stripped = line.strip()
    return len(stripped) if stripped and not stripped.strip(mark) else 0


def _fence_end(raw: list[str], start: int, closing: dict[str, list[int]]) -> int | None:
    """The index after the last line of the code fence that begins here; None if none begins or it never ends."""
    opening = _FENCE.match(raw[start])
    if opening is None or (opening[1][0] == "`" and "`" in raw[start][opening.end() :]):
        return None
    mark, length = opening[1][0], len(opening[1])
    if closing[mark][start] < length:
        return None
    return next(i + 1 for i in range(start + 1, len(raw)) if _closing_length(raw[i], mark) >= length)


def _join_spans(raw: list[str]) -> list[str]:
    """Lines, those that a protected span runs over joined."""
    text = "\n".join(raw)
    is_inside = _inside_spans(text)
    lines, start = [], 0
    for i, letter in enumerate(text):
        if letter == "\n" and not is_inside[i]:
            lines.append(text[start:i])
            start = i + 1
    lines.append(text[start:])
    return lines


def _inside_spans(text: str) -> bytearray:
    """For each position whether a cut before its character goes through a protected span."""
    is_inside = bytearray(len(text) + 1)
    for first, last in _outermost(protected_spans(text)):
        is_inside[first + 1 : last] = b"\x01" * (last - first - 1)
    return is_inside


def _outermost(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
