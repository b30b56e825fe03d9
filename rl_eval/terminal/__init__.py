"""Terminal output: the progress line on stderr, tables on stdout, and errors in one sentence.

Everything here works on a terminal, in a pipe and in a log file: cursor movement and colour only on a terminal, ASCII
where the stream is not UTF-8, and names printed literally, never as markup.
"""

from rl_eval.terminal._console import (
    cell,
    console_for,
    is_terminal,
    labelled_line,
    new_table,
    print_error,
    print_labelled,
    print_line,
)
from rl_eval.terminal._criteria_table import DECISION_STYLES, criteria_table
from rl_eval.terminal._findings import print_findings
from rl_eval.terminal._progress import ProgressLine, QuietProgress
from rl_eval.terminal._steps import print_steps, value_text
from rl_eval.terminal._sweep import sweep_table
from rl_eval.terminal._verdict import print_commands, print_suite, print_verdict
from rl_eval.terminal._wrapping import wrap_words

__all__ = [
    "DECISION_STYLES",
    "ProgressLine",
    "QuietProgress",
    "cell",
    "console_for",
    "criteria_table",
    "is_terminal",
    "labelled_line",
    "new_table",
    "print_commands",
    "print_error",
    "print_findings",
    "print_labelled",
    "print_line",
    "print_steps",
    "print_suite",
    "print_verdict",
    "sweep_table",
    "value_text",
    "wrap_words",
]
