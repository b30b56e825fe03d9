"""Packages of the optional dependencies (extras): where one is missing, one sentence names the extra to install."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from rl_eval.errors import InputError


@contextlib.contextmanager
def imports_of_extra(extra: str, purpose: str) -> Iterator[None]:
    """Around imports of packages that only an extra installs.

    Args:
        extra: its name, as in `pip install 'rl_eval[onnx]'`.
        purpose: what needs the packages, as the beginning of a sentence.

    Raises:
        InputError: a package is missing or cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if package == "rl_eval":  # a module of this package: no extra is missing
            raise
        if isinstance(error, ModuleNotFoundError):
            raise _missing(extra, purpose, package) from error
        reason = " ".join(str(error).split())
        raise InputError(
            f"{purpose} needs {package or 'a package'}, which cannot be imported ({reason}): "
            f"pip install 'rl_eval[{extra}]'"
        ) from error


def require_extra(extra: str, purpose: str, *packages: str) -> None:
    """Check that packages of an extra are installed, without loading them.

    Raises:
        InputError: one is missing.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise _missing(extra, purpose, package)


def _missing(extra: str, purpose: str, package: str) -> InputError:
    return InputError(f"{purpose} needs {package}, which is not installed: pip install 'rl_eval[{extra}]'")
