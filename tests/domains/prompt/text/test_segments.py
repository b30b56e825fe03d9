"""Code fences: the first line that can close one does, and each line is read a few times at most."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_eval.domains.prompt.text import segments
from rl_eval.domains.prompt.text.segments import split_lines

LINES = st.lists(st.sampled_from(["```", "~~~", "````", " ~~~~ ", "```a", "``` `", "a", "", "`", "~~"]), max_size=12)


def fence_end(lines, start):
    """By the definition, line by line: CommonMark 0.31, section 4.5, where a fence that is never closed is none."""
    stripped = lines[start].lstrip(" \t")
    mark = stripped[:1]
    length = len(stripped) - len(stripped.lstrip(mark)) if mark in ("`", "~") else 0
    if length < 3 or (mark == "`" and "`" in stripped[length:]):
        return None
    for i in range(start + 1, len(lines)):
        closing = lines[i].strip()
        if len(closing) >= length and set(closing) == {mark}:
            return i + 1
    return None


@given(LINES)
def test_a_fence_ends_where_the_first_line_closes_it(lines):
    expected, i = [], 0
    while i < len(lines):
        end = fence_end(lines, i) or i + 1
        expected.append("\n".join(lines[i:end]))
        i = end
    assert [line.text for line in split_lines("\n".join(lines)) if line.text] == [line for line in expected if line]


@pytest.mark.parametrize("text", ["```a\n" * 3_000, "````a\n" * 1_500 + "```\n" * 1_500, "```\n" * 3_000])
def test_each_line_is_read_a_few_times_at_most(text, monkeypatch):
    read = []
    closing_length = segments._closing_length
    monkeypatch.setattr(segments, "_closing_length", lambda *line: read.append(line) or closing_length(*line))
    split_lines(text)
    assert len(read) <= 4 * (text.count("\n") + 1)
