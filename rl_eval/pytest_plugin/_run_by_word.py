"""`--rl-run latest` and `--rl-run best`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rl_eval.gates import Suite
    from rl_eval.run import Run

WORDS = ("latest", "best")


def run_by_word(word: str, suite: Suite, outputs: Path) -> tuple[Path, str]:
    """The finished run of the suite's environment that a word names, and why it is that one.

    `train:` of the suite does not count, as for a run that is named by its path.

    Raises:
        InputError: there is none.
    """
    from rl_eval.domains import DEFAULT
    from rl_eval.gates.suite_files import matches_environment
    from rl_eval.run_index import best_run, latest_run

    def fits(run: Run) -> bool:
        return matches_environment(suite, run.config["env"])

    env = str(getattr(suite.env, "id", "")) if suite.env.name == DEFAULT else suite.env.name
    if word == "latest":
        run, reason = latest_run(outputs, env, fits)
    else:
        run, reason = best_run(outputs, env, suite.name, fits)
    return run.path, f"{word}: {reason}"
