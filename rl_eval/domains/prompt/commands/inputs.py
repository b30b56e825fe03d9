"""What people name on the command line: a prompt in a file, and a task by name or folder."""

from __future__ import annotations

from pathlib import Path

from rl_eval.domains.prompt.tasks.embedded import embedded_tasks
from rl_eval.domains.prompt.tasks.task import Task, read_task
from rl_eval.domains.prompt.text.mutations import MAX_PROMPT_BYTES
from rl_eval.errors import InputError, nearest
from rl_eval.formatting import brief, escape_controls
from rl_eval.terminal import print_line
from rl_eval.untrusted_files import only_regular


def read_prompt(path: Path) -> str:
    """The prompt in a file.

    Raises:
        InputError: the file cannot be read, is empty, is not UTF-8, or holds more than 16 kB.
    """
    where = escape_controls(str(path))
    try:
        with open(path, "rb", opener=only_regular) as file:
            content = file.read(MAX_PROMPT_BYTES + 4)
    except OSError as error:
        raise InputError(f"the prompt {where} cannot be read ({error.strerror}): name a text file") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(content) <= MAX_PROMPT_BYTES:
            raise InputError(f"the prompt {where} is not UTF-8 (byte {error.start}): save it as UTF-8") from error
        text = content.decode("utf-8-sig", "ignore")
    if len(text.encode()) > MAX_PROMPT_BYTES:
        raise InputError(f"the prompt {where} has more than {MAX_PROMPT_BYTES >> 10} kB: shorten it")
    if not text.strip():
        raise InputError(f"the prompt {where} is empty: write what the model must do")
    return text.strip()


def find_task(name: str) -> Task:
    """The task in a folder, or an embedded one.

    Raises:
        InputError: there is none, or it is damaged.
    """
    embedded = {task.name: task for task in embedded_tasks()}
    if name in embedded:
        return embedded[name]
    if Path(name).is_dir():
        return _read_and_note(Path(name))
    raise InputError(
        f"there is no task {brief(escape_controls(name), 80)!r}: {nearest(name, embedded)}name a folder with "
        f"task.json, train.csv and test.csv, or one of {', '.join(embedded)}"
    )


def read_tasks(path: Path) -> tuple[Task, ...]:
    """The tasks in the folders of a folder, or the one that it is itself; by name.

    Raises:
        InputError: there is none, or one is damaged.
    """
    if (path / "task.json").exists():
        return (_read_and_note(path),)
    try:
        folders = sorted(folder for folder in path.iterdir() if (folder / "task.json").exists())
    except OSError as error:
        raise InputError(f"the tasks at {escape_controls(str(path))} cannot be read ({error.strerror})") from error
    if not folders:
        raise InputError(f"{escape_controls(str(path))} has no folder with a task.json: name a folder of tasks")
    return tuple(_read_and_note(folder) for folder in folders)


def _read_and_note(folder: Path) -> Task:
    task = read_task(folder)
    if task.left_out:
        print_line(f"note: the task {task.name}: {task.left_out}", stderr=True)
    return task
