"""Make one call, for launchers that start a command: `python -m rl_eval.launchers.call < task.json`.

The task is JSON with the fields of `Task`. The last line of stdout is JSON: `{"result": …}` or `{"error": "…"}`.
"""

from __future__ import annotations

import json
import sys

from rl_eval.launchers.plugin import Task
from rl_eval.stop_signals import interruptible


def main() -> None:
    """Read a task from stdin, make the call, and print its answer."""
    task = Task(**json.load(sys.stdin))
    with interruptible():
        done, value = task.answer()
    print("\n" + json.dumps({"result": value} if done else {"error": str(value)}))


if __name__ == "__main__":
    main()
