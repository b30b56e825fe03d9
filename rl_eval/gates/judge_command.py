"""The pytest command that judges a run or its policy by the suites of its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_eval.errors import InputError
from rl_eval.formatting import brief
from rl_eval.gates.suite_files import suites_for
from rl_eval.override_text import shell_word


def judge_command(config: Mapping[str, Any], judged: Path | str, folder: Path | str = "suites") -> str:
    """The command as one types it; where no suite is known, `suites/<file>.yaml` and the reason.

    Args:
        config: the config of the run.
        judged: what `--rl-run` gets.
        folder: where the suites are.
    """
    options = f"--rl-run {shell_word(judged)}"
    unknown = f"`pytest suites/<file>.yaml {options}`"
    try:
        suites = suites_for(config, folder)
    except (InputError, KeyError, TypeError, AttributeError):  # a broken suite or config
        return unknown
    if not suites:
        return f"{unknown}, once there is a suite for env {brief(str(config['env'].get('name')), 60)}"
    return f"`pytest {' '.join(shell_word(suite.label) for suite in suites)} {options}`"
