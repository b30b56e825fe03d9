"""The list of runs as the files are now, with the help of the index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rl_eval.errors import InputError
from rl_eval.run_index._entry import Entry, read_entry
from rl_eval.run_index._scan import MAX_FOLDERS, scan
from rl_eval.run_index._store import load, save

SAVE_EVERY = 500  # entries read, so that an interrupted list does not begin from nothing


@dataclass(frozen=True)
class Listing:
    """The runs below a folder.

    Attributes:
        entries: the newest first.
        notes: a sentence on what is not in it.
    """

    outputs: Path
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()


def list_runs(outputs: Path, on_read: Callable[[int, int], None] | None = None, *, trust_index: bool = True) -> Listing:
    """The runs below a folder, as their files are now. Only files that have changed are read again.

    Args:
        on_read: called with how many files were read, and how many there are.
        trust_index: False: read every file, and store what was read.

    Raises:
        InputError: the folder does not exist.
    """
    if not outputs.is_dir():
        raise InputError(f"{outputs} is not a folder: name a folder of runs")
    stamps, cut = scan(outputs)
    stored = load(outputs)
    entries: dict[str, Entry] = {}
    if trust_index:
        entries = {
            path: stored[path][1] for path, stamp in stamps.items() if path in stored and stored[path][0] == stamp
        }
    missing = [path for path in stamps if path not in entries]
    changed: dict[str, tuple[str, Entry]] = {}
    for done, path in enumerate(missing, 1):
        entries[path] = read_entry(outputs / path, path)
        changed[path] = stamps[path], entries[path]
        if on_read:
            on_read(done, len(missing))
        if len(changed) >= SAVE_EVERY:
            save(outputs, changed, ())
            changed = {}
    removed = [path for path in stored if path not in stamps]
    if changed or removed:
        save(outputs, changed, removed)
    notes = (f"{outputs} has more than {MAX_FOLDERS:,} folders: only some were looked into",) if cut else ()
    newest_first = sorted(entries.values(), key=lambda entry: (entry.started, entry.path), reverse=True)
    return Listing(outputs, tuple(newest_first), notes)
