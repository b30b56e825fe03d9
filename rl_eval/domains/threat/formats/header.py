"""The names of columns: without surrounding blanks, each once."""

from __future__ import annotations

from collections.abc import Sequence


def unique_names(cells: Sequence[str]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    """The names that columns get, and the new names of columns with an empty or repeated name.

    A second `size` is called `size.1`, and a third column without a name `Unnamed: 2`, as pandas calls them: files that
    pandas has written have the same names.
    """
    stripped = [cell.strip() for cell in cells]
    taken, names, renamed = set(stripped), list[str](), dict[str, tuple[str, ...]]()
    for position, name in enumerate(stripped):
        if name and name not in names:
            names.append(name)
            continue
        base, number = (f"Unnamed: {position}", 0) if not name else (name, 1)
        unique = f"{base}.{number}" if number else base
        while unique in taken or unique in names:
            number += 1
            unique = f"{base}.{number}"
        names.append(unique)
        renamed[name] = (*renamed.get(name, (name,) if name else ()), unique)
    return names, renamed
