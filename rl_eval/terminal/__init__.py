"""What a person sees: the progress line on stderr, the closing tables on stdout, an error in one sentence.

Everything here works on a terminal, in a pipe and in a log file: no cursor movement and no colour where
they would be rubbish, ASCII where the stream is not UTF-8, and names shown as they are, never as markup.
"""

from rl_eval.terminal._console import cell, console_for, headed, new_table, print_error
from rl_eval.terminal._findings import print_findings
from rl_eval.terminal._progress import Progress
from rl_eval.terminal._sweep import differing_keys, sweep_table
from rl_eval.terminal._verdict import criteria_table, print_sentences, print_verdict

__all__ = [
    "Progress",
    "cell",
    "console_for",
    "criteria_table",
    "differing_keys",
    "headed",
    "new_table",
    "print_error",
    "print_findings",
    "print_sentences",
    "print_verdict",
    "sweep_table",
]
