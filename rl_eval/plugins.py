"""Plugins: modules of a person's own that a config or a suite names; importing one registers what it adds.

A module is imported only with the consent of the person who runs the program: they typed its name
(`plugins=[my_module]`), or they added `--trust` to what reads the file that names it.
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_eval.errors import TRUST_IT, InputError

_imported: set[str] = set()


def import_plugins(names: Sequence[str], folder: Path) -> None:
    """Import modules, once each, with the consent of the person.

    Args:
        names: dotted module names.
        folder: where a module may be that is not on `sys.path`, as well as in the current folder. Both are added at
            the end of `sys.path`.

    Raises:
        InputError: a name is not a module's, or the module cannot be imported.
    """
    missing = not_imported(names)
    folders = list(dict.fromkeys([str(folder.resolve()), str(Path.cwd())]))
    if missing:
        search_also(folders)
    for name in missing:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # foreign code raises anything
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
                raise InputError(
                    f"the plugin {name!r} is not a module: it must be in {' or '.join(folders)}, or installed"
                ) from error
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise InputError(
                f"the plugin {name!r} cannot be imported: {reason} ({last.filename}:{last.lineno})"
            ) from error
        _imported.add(name)


def search_also(folders: Sequence[str]) -> None:
    """Look for modules in some folders, after all other places."""
    sys.path += [place for place in folders if place not in sys.path]


def hint_on_path(module: str, error: Exception) -> str:
    """Where a module is looked for, in brackets; empty if something else than its absence is the cause of an error."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not missing or missing.partition(".")[0] != module.partition(".")[0]:
        return ""
    return " (`python -m pytest` finds modules in the folder it runs in, plain `pytest` does not)"


def require_plugins(names: Sequence[str], folder: Path, named_by: str, *, trust: bool) -> None:
    """Import the modules that a file names; without trust, all of them must be imported already.

    Args:
        named_by: the file that names them, for the message.

    Raises:
        InputError: trust is needed, or a module cannot be imported.
    """
    missing = not_imported(names)
    if missing and not trust:
        raise InputError(f"{named_by} names the plugin {missing[0]!r}, a module to import: {TRUST_IT}")
    import_plugins(names, folder)


def require_plugins_of_run(path: Path, config: Mapping[str, Any], *, trust: bool) -> None:
    """Import the plugins that a run was trained with, from the current folder or `sys.path`.

    Raises:
        InputError: trust is needed, or a module cannot be imported.
    """
    names = config.get("plugins") or ()
    if not isinstance(names, list | tuple):
        raise InputError(f"{path / 'config.yaml'}: plugins={names!r} is not a list of module names")
    require_plugins(names, Path.cwd(), str(path), trust=trust)


def not_imported(names: Sequence[Any]) -> list[str]:
    """Those of the names that have not been imported as plugins.

    Raises:
        InputError: a name is not a module's.
    """
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
            raise InputError(f"plugins: {name!r} is not a module: give its name, such as my_module")
    return [name for name in dict.fromkeys(names) if name not in _imported]


def imported_plugins() -> list[str]:
    """The modules that were imported as plugins, by name."""
    return sorted(_imported)


def is_plugin(module: str) -> bool:
    """Whether a module was imported as a plugin, or belongs to a package that was."""
    return any(module == name or module.startswith(f"{name}.") for name in _imported)
