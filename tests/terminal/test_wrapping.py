"""Rows of a terminal: nothing is lost, and no word is broken."""

import itertools
import re
import shlex

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rl_eval.override_text import shell_word
from rl_eval.terminal._wrapping import wrap_command, wrap_words

WORDS = st.lists(st.text(st.sampled_from("ab1≥界=,.'"), min_size=1, max_size=12), max_size=20)


@given(words=WORDS, width=st.integers(5, 60), taken=st.integers(-4, 4))
def test_rows_hold_the_words_in_their_order(words, width, taken):
    rows = wrap_words(" ".join(words), width, taken)
    assert " ".join(rows) == " ".join(words) or rows[0] == ""
    assert " ".join(rows).split() == words
    for number, row in enumerate(rows):
        assert cell_len(row) + (taken if number == 0 else 0) <= width or " " not in row
    for first, second in itertools.pairwise(rows):
        if first and first != rows[0]:
            assert cell_len(first) + 1 + cell_len(second.split()[0]) > width


def test_a_command_in_backticks_stays_in_one_row():
    text = "no run: train with `python train.py env=cartpole agent=ppo`, or name one"
    assert "`python train.py env=cartpole agent=ppo`," in wrap_words(text, 20)


@given(words=st.lists(st.text(max_size=15), min_size=1, max_size=12), width=st.integers(10, 100))
def test_a_shell_reads_the_rows_of_a_command_as_the_command(words, width):
    command = " ".join(map(shell_word, words))
    rows = wrap_command(command, width)
    assert all(row.endswith(" \\") for row in rows[:-1])
    joined = "".join(row.removesuffix("\\") for row in rows[:-1]) + rows[-1]
    if not re.search(r"\$'", command):  # shlex does not know these quotes of bash
        assert shlex.split(joined) == shlex.split(command) == words
    assert joined == command
