"""Whether code is that of Python or of an installed package, which a version identifies."""

from __future__ import annotations

import functools
import importlib.util
import site
import sysconfig
from importlib.metadata import packages_distributions
from pathlib import Path


def is_installed(module: str) -> bool:
    """Whether a module is of the standard library, or is where packages are installed and belongs to one.

    Only its top-level package is looked for, so nothing is imported. False for a module that does not exist, and for
    packages whose code is elsewhere, as after `pip install -e`.
    """
    return _place(module.partition(".")[0]) == "installed"


def is_elsewhere(module: str) -> bool:
    """Whether a module exists, and is not installed: its code can change while all versions stay."""
    return _place(module.partition(".")[0]) == "elsewhere"


def _place(package: str) -> str:
    """Where a top-level module is: `installed`, `elsewhere` or `nowhere`."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):  # such as `__main__`, which has no spec
        return "elsewhere"
    if spec is None:
        return "nowhere"
    if spec.origin in ("built-in", "frozen"):
        return "installed"
    files = [Path(place) for place in ([spec.origin] if spec.origin else spec.submodule_search_locations or [])]
    libraries, packages = _folders()
    in_packages = bool(files) and all(any(map(file.absolute().is_relative_to, packages)) for file in files)
    if in_packages:
        return "installed" if package in _distributed() else "elsewhere"
    in_library = bool(files) and all(any(map(file.absolute().is_relative_to, libraries)) for file in files)
    return "installed" if in_library else "elsewhere"


@functools.cache
def _folders() -> tuple[list[Path], list[Path]]:
    """Where the standard library is, and where packages are installed."""
    paths = sysconfig.get_paths()
    libraries = [Path(paths[name]).absolute() for name in ("stdlib", "platstdlib")]
    folders = [paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()]
    return libraries, [Path(folder).absolute() for folder in folders]


@functools.cache
def _distributed() -> frozenset[str]:
    """The top-level modules of installed packages."""
    return frozenset(packages_distributions())
