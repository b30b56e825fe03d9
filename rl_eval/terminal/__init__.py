"""Terminal output: the progress line on stderr, tables on stdout, and errors in one sentence.

Everything here works on a terminal, in a pipe and in a log file: cursor movement and colour only on a terminal, ASCII
where the stream is not UTF-8, and names printed literally, never as markup.
"""

from rl_eval.terminal._console import cell, console_for, labelled_line, new_table, print_error, print_line
from rl_eval.terminal._findings import print_findings
from rl_eval.terminal._progress import ProgressLine
from rl_eval.terminal._sweep import sweep_table
from rl_eval.terminal._verdict import criteria_table, print_sentences, print_verdict

__all__ = [
    "ProgressLine",
    "cell",
    "console_for",
    "criteria_table",
    "labelled_line",
    "new_table",
    "print_error",
    "print_findings",
    "print_line",
    "print_sentences",
    "print_verdict",
    "sweep_table",
]
